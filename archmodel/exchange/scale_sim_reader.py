"""Networks in the topology files of SCALE-Sim: a row a layer, as convolutions or as matrix products (GEMM).

The columns are those that SCALE-Sim reads by their place: name, rows and columns of the input and of the filter,
channels, filters and stride; or name, M, N and K. Its inputs are padded already and its number of windows is rounded
up, so that a last window may hang over the end: there the layer gets the missing rows and columns as padding.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from archmodel import config
from archmodel.errors import WorkloadError, one_line, show
from archmodel.network.chain import MAX_LAYERS
from archmodel.network.layer import Layer, Shape
from archmodel.network.network import Network
from archmodel.network.zeros import Zeros

CONV = ("name", "IFMAP height", "IFMAP width", "filter height", "filter width", "channels", "filters", "stride")
GEMM = ("name", "M", "N", "K")
DEPTHWISE = "DP"  # in the name of a row: SCALE-Sim runs its filters on each channel alone
LONGEST_NAME = 100  # leaves room for the number of a second row of that name
MAX_DIGITS = 10


@dataclass(frozen=True)
class Row:
    """A row that is not empty: its line in the file, the cells without blanks, quotes, comment and empty end."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Work:
    """What a row says: the convolution over an input of ``shape``, and the fraction of weights that are not zero."""

    shape: Shape
    K: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_density: tuple[int, int] | None = None


def read_scale_sim(path: Path, source: str) -> Network:
    """The network of a topology file, which messages call ``source``; errors name the line."""
    rows = _rows(config.file_text(path, source, ".csv"))
    try:
        header, columns = _columns(rows)
        inputs: dict[str, Shape] = {}
        layers: dict[str, Layer] = {}
        zeros: dict[str, Zeros] = {}
        shape: Shape | None = None  # of the outputs of the row above
        for row in rows[1:]:
            try:
                work = _work(row, header, columns)
                name = _free_name(row.cells[0], layers)
                above = next(reversed(layers)) if shape == work.shape else None
                if above is None:
                    inputs[f"{name}/ifmap"] = work.shape
                layers[name] = layer = _layer(name, above or f"{name}/ifmap", work)
            except WorkloadError as error:
                raise WorkloadError(f"line {row.line}: {error}") from None
            shape = layer.output_shape
            if work.weight_density is not None:
                N, M = work.weight_density
                stated = f"stated: sparsity {N}:{M} of {one_line(path.name, 200)}, every placement equally likely"
                zeros[name] = Zeros(source=stated, weight_density=N / M)
        called = one_line(path.name, 200)
        about = f"{called}, a SCALE-Sim topology: inputs padded already, no biases, layers chained where shapes agree"
        return Network(path.stem, f"{called}, of SCALE-Sim", about, inputs, tuple(layers.values()), zeros)
    except WorkloadError as error:
        raise WorkloadError(f"{source}: {error}") from None


def _rows(text: str) -> list[Row]:
    rows = []
    for line, written in enumerate(text.splitlines(), start=1):
        cells = [cell.strip().strip('"').strip() for cell in written.split(",")]
        comment = next((index for index, cell in enumerate(cells) if cell.startswith("#")), len(cells))
        cells = cells[:comment]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            rows.append(Row(line, cells))
    return rows


def _columns(rows: list[Row]) -> tuple[list[str], tuple[str, ...]]:
    """The header, and which of the two forms the file has: its header says so, or the number of cells in a row."""
    if not rows:
        raise WorkloadError("has no rows; a SCALE-Sim topology has a header and a row for every layer")
    header = [re.sub(r"[^a-z]", "", cell.lower()) for cell in rows[0].cells]
    if len(rows[0].cells) > 1 and rows[0].cells[1].isdigit():
        raise WorkloadError(f"line {rows[0].line}: is a layer; the first line must be a header, SCALE-Sim skips it")
    if len(rows) == 1:
        raise WorkloadError("has a header and no layers")
    if len(rows) - 1 > MAX_LAYERS:
        raise WorkloadError(f"{len(rows) - 1} layers; must be at most {MAX_LAYERS}")
    if sorted(header[1:4]) == ["k", "m", "n"]:
        if header[1:4] != ["m", "n", "k"]:
            raise WorkloadError(f"line {rows[0].line}: columns {', '.join(rows[0].cells[1:4])}; allowed: M, N, K")
        return header, GEMM
    if header[1:2] == ["ifmapheight"] or len(rows[1].cells) >= len(CONV):
        return header, CONV
    if len(rows[1].cells) in (len(GEMM), len(GEMM) + 1):
        return header, GEMM
    raise WorkloadError(
        f"line {rows[1].line}: {len(rows[1].cells)} cells; allowed: {', '.join(CONV)}; or {', '.join(GEMM)}"
    )


def _work(row: Row, header: list[str], columns: tuple[str, ...]) -> Work:
    if len(row.cells) < len(columns):
        raise WorkloadError(f"{len(row.cells)} cells; allowed: {', '.join(columns)}")
    numbers = [
        _whole_number(title, cell) for title, cell in zip(columns[1:], row.cells[1 : len(columns)], strict=True)
    ]
    density, number = _further(row.cells[len(columns) :], header[len(columns) :])
    if columns == CONV and header[len(CONV) : len(CONV) + 1] in (["batch"], ["batchsize"]):
        if number not in (None, 1):
            raise WorkloadError(f"batch = {number}: must be 1; --batch says how many images a run has")
        number = None
    if columns == GEMM:
        M, N, K = numbers
        batch = number or 1
        return Work((batch * K, M, 1), batch * N, groups=batch, weight_density=density)
    H, W, R, S, C, K, stride = numbers
    if R > H or S > W:
        raise WorkloadError(f"filter {R} x {S} is larger than the IFMAP, {H} x {W}")
    if (R, S, C, stride) == (1, W, 1, 1):  # a product of H x W with W x K, as SCALE-Sim turns one into a convolution
        return Work((W, H, 1), K, weight_density=density)
    depthwise = DEPTHWISE in row.cells[0]
    groups, K = (C, C * K) if depthwise else (1, K)
    return Work((C, H, W), K, (R, S), (stride, number or stride), groups, density)


def _further(cells: list[str], titles: list[str]) -> tuple[tuple[int, int] | None, int | None]:
    """What stands behind the columns: N:M of the weights, and a number, the second stride or the batch."""
    density, number = None, None
    for cell, title in zip_longest(cells, titles[: len(cells)], fillvalue=""):
        if not cell:
            continue
        pair = re.fullmatch(rf"(\d{{1,{MAX_DIGITS}}})\s*:\s*(\d{{1,{MAX_DIGITS}}})", cell, re.ASCII)
        if pair is not None:
            density = int(pair[1]), int(pair[2])
            if density[0] > density[1] or not density[1]:
                raise WorkloadError(f"sparsity {cell}: N:M must have N from 0 to M, M from 1")
        elif title.startswith("sparsity"):
            if cell != "1":  # of files of SCALE-Sim's own: dense
                raise WorkloadError(f"sparsity {show(cell)}: must be N:M, N non-zeros in M weights")
        elif number is None:
            number = _whole_number("the cell behind the last column", cell)
        else:
            raise WorkloadError(f"{show(cell)}: one cell too many")
    return density, number


def _whole_number(title: str, cell: str) -> int:
    if not re.fullmatch(rf"\d{{1,{MAX_DIGITS}}}", cell, re.ASCII) or not int(cell):
        raise WorkloadError(f"{title} = {show(cell)}: must be a whole number from 1, of at most {MAX_DIGITS} digits")
    return int(cell)


def _free_name(text: str, taken: Mapping[str, Layer]) -> str:
    allowed = re.sub(r"[^A-Za-z0-9_./+-]", "_", text).lstrip("./+-")[:LONGEST_NAME] or "unnamed"
    name, number = allowed, 2
    while name in taken:
        name, number = f"{allowed}.{number}", number + 1
    return name


def _layer(name: str, tensor: str, work: Work) -> Layer:
    """A convolution, or an fc where the filters are as large as the input."""
    C, H, W = work.shape
    if work.kernel == (H, W) and work.groups == 1:
        return Layer(name, "fc", (tensor,), (C * H * W, 1, 1), work.K, bias=False)
    R, S = work.kernel
    padding = (0, (R - H) % work.stride[0], 0, (S - W) % work.stride[1])
    fields = {"stride": work.stride, "padding": padding, "groups": work.groups, "bias": False}
    return Layer(name, "conv", (tensor,), work.shape, work.K, R, S, **fields)  # type: ignore[arg-type]
