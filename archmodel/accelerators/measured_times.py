"""Times of layers that others have measured, in the place of modelled ones."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archmodel import config
from archmodel.accelerators.gpu import LayerTime
from archmodel.errors import WorkloadError, did_you_mean, one_line, show
from archmodel.network import Network

COLUMNS = ("network", "batch", "layer", "log_layer", "forward_ms", "backward_ms")
TITANX = "titanx_layer_times.csv"  # of configs/published/; its head has source and licence


@dataclass(frozen=True)
class MeasuredRow:
    """One line of a table; times in seconds, of the whole batch."""

    network: str
    N: int
    layer: str
    forward_s: float
    backward_s: float


def load_measured(path: str | Path | None = None) -> tuple[MeasuredRow, ...]:
    """All rows of a CSV file with ``COLUMNS`` below comments; the Titan X's of convnet-benchmarks when None."""
    file = config.folder("published") / TITANX if path is None else Path(path)
    source = one_line(str(path or f"configs/published/{TITANX}"))
    lines = config.file_text(file, source, ".csv").splitlines()
    return tuple(_rows(lines, source))


def _rows(lines: list[str], source: str) -> Iterator[MeasuredRow]:
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not numbered or tuple(numbered[0][1].split(",")) != COLUMNS:
        raise WorkloadError(f"{source}: the first line must be {','.join(COLUMNS)}")
    seen = set()
    for number, line in numbered[1:]:
        values = next(csv.reader([line]))
        if len(values) != len(COLUMNS):
            raise WorkloadError(f"{source}: line {number}: must have {len(COLUMNS)} values")
        row = dict(zip(COLUMNS, values, strict=True))
        if (row["network"], row["layer"]) in seen:
            raise WorkloadError(f"{source}: line {number}: {show(row['layer'])} of {show(row['network'])} stands above")
        seen.add((row["network"], row["layer"]))
        times_s = [_milliseconds(row[key], key, f"{source}: line {number}") / 1e3 for key in COLUMNS[-2:]]
        if not (row["batch"].isascii() and row["batch"].isdigit() and 0 < int(row["batch"][:10]) < 2**31):
            raise WorkloadError(f"{source}: line {number}: batch = {show(row['batch'])}: must be from 1 to {2**31 - 1}")
        yield MeasuredRow(row["network"], int(row["batch"]), row["layer"], *times_s)


def _milliseconds(text: str, key: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise WorkloadError(f"{where}: {key} = {show(text)}: must be milliseconds, 0 or more")
    return value


def measured_times(rows: tuple[MeasuredRow, ...], name: str, network: Network, N: int) -> tuple[LayerTime, ...]:
    """The measured times of all layers of the network that the table calls ``name``; a layer without a row takes none.

    Times are of the batch that was measured: another N raises WorkloadError, as do a network without rows and a row
    without a layer.
    """
    own = {row.layer: row for row in rows if row.network == name}
    if not own:
        known = list(dict.fromkeys(row.network for row in rows))
        raise WorkloadError(f"{show(name)}: not measured; allowed: {', '.join(known)}{did_you_mean(name, known)}")
    for row in own.values():
        network.layer(row.layer)
        if N != row.N:
            raise WorkloadError(f"{show(name)}: batch = {N}: measured at {row.N}")
    return tuple(
        LayerTime(layer.name, layer.kind, own[layer.name].forward_s, own[layer.name].backward_s, {})
        if layer.name in own
        else LayerTime(layer.name, layer.kind, 0.0, 0.0, {})
        for layer in network.layers
    )
