"""Published tables as checks: the paper's value beside ours, a stated band and its reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from archmodel import config
from archmodel.accelerators.run_result import RunResult
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.validation.cambricon_x import measure_cambricon_x
from archmodel.validation.cdma import cdma_figures, measure_cdma
from archmodel.validation.cnvlutin import cnvlutin_figures, measure_cnvlutin
from archmodel.validation.dadiannao import measure_dadiannao
from archmodel.validation.dram import measure_dram, rows_of_latencies
from archmodel.validation.eie import eie_figures, measure_eie
from archmodel.validation.links import measure_links
from archmodel.validation.network_totals import measure_network_totals, rows_of_networks
from archmodel.validation.pruned_totals import measure_pruned_totals
from archmodel.validation.published import PublishedRow, PublishedTable
from archmodel.validation.scnn import Measured, dnnsim_figures, measure_dnnsim, measure_scnn, scnn_figures
from archmodel.validation.scnn_energy import measure_scnn_energy
from archmodel.validation.squeezenet_code import measure_squeezenet_code, rows_of_layers
from archmodel.validation.titanx_times import measure_titanx_times, rows_of_titanx_layers
from archmodel.validation.tpu import measure_tpu, tpu_figures
from archmodel.validation.training_memory import measure_training_memory
from archmodel.validation.vdnn import measure_vdnn
from archmodel.views.figure import Drawing, Rows

Verdict = Literal["pass", "FAIL", "outside", "-"]


@dataclass(frozen=True)
class Check:
    """One row with the value that this model gives."""

    table: str
    row: PublishedRow
    ours: float

    @property
    def verdict(self) -> Verdict:
        """Whether ours is within the limits; a band is only reported."""
        if self.row.limits is None:
            return "-"
        low, high = self.row.limits
        if low <= self.ours <= high:
            return "pass"
        return "outside" if self.row.kind == "band" else "FAIL"

    @property
    def deviation(self) -> float | None:
        """Relative to the published value."""
        return None if not self.row.published else self.ours / self.row.published - 1

    def as_dict(self) -> dict[str, object]:
        """The row with ours, as plain data."""
        stated = self.row.model_dump(exclude={"tolerance", "low", "high"})
        limits = None if self.row.limits is None else list(self.row.limits)
        return {**stated, "ours": self.ours, "deviation": self.deviation, "accepted": limits, "verdict": self.verdict}


@dataclass(frozen=True)
class Validation:
    """All checks of a table, and the runs behind them by name."""

    table: str
    published: PublishedTable
    checks: tuple[Check, ...]
    runs: Mapping[str, RunResult]

    @property
    def failed(self) -> bool:
        """Whether a gate or an identity is missed."""
        return any(check.verdict == "FAIL" for check in self.checks)

    def as_dict(self) -> dict[str, object]:
        """The table with published values and ours, as plain data."""
        return {
            "table": self.table,
            "folder": self.published.folder,
            "title": self.published.title,
            "citation": self.published.citation,
            "command": f"archmodel validate {self.table} -o results",
            "passed": not self.failed,
            "rows": [check.as_dict() for check in self.checks],
        }

    def figures(self) -> dict[str, Drawing]:
        """The field's own figures of this table, by the name of the file."""
        rows = {check.row.id: check.as_dict() for check in self.checks}
        return FIGURES[self.table](rows, self.runs) if self.table in FIGURES else {}


MEASURES: dict[str, Callable[[], Measured]] = {
    "cdma": measure_cdma,
    "cnvlutin": measure_cnvlutin,
    "dadiannao": measure_dadiannao,
    "cambricon_x": measure_cambricon_x,
    "dnnsim": measure_dnnsim,
    "dram": measure_dram,
    "eie": measure_eie,
    "links": measure_links,
    "network_totals": measure_network_totals,
    "pruned_totals": measure_pruned_totals,
    "scnn": measure_scnn,
    "scnn_energy": measure_scnn_energy,
    "squeezenet_code": measure_squeezenet_code,
    "titanx_times": measure_titanx_times,
    "tpu_v1": measure_tpu,
    "training_memory": measure_training_memory,
    "vdnn": measure_vdnn,
}
# Of tables whose values stand elsewhere: in the files of the networks, in a CSV file.
ROWS: dict[str, Callable[[], tuple[PublishedRow, ...]]] = {
    "dram": rows_of_latencies,
    "network_totals": rows_of_networks,
    "squeezenet_code": rows_of_layers,
    "titanx_times": rows_of_titanx_layers,
}

# Figures of the field beside the one that every table has, by the name of the file.
FIGURES: dict[str, Callable[[Rows, Mapping[str, RunResult]], dict[str, Drawing]]] = {
    "cdma": cdma_figures,
    "cnvlutin": cnvlutin_figures,
    "dnnsim": dnnsim_figures,
    "eie": eie_figures,
    "scnn": scnn_figures,
    "tpu_v1": tpu_figures,
}


def tables() -> list[str]:
    """Names of the published tables."""
    return config.names("published")


def check_tables(names: list[str]) -> None:
    """Raise ConfigError if one of the names is no table."""
    for name in names:
        if name not in MEASURES:
            allowed = ", ".join(tables())
            raise ConfigError(f"{show(name)}: unknown table; allowed: {allowed}{did_you_mean(name, tables())}")


def published_table(name: str) -> PublishedTable:
    """A table with all its rows; ConfigError for an unknown one."""
    check_tables([name])
    table = config.load("published", name, PublishedTable)
    elsewhere = ROWS[name]() if name in ROWS else ()
    return table.model_copy(update={"rows": (*elsewhere, *table.rows)})


def validate(name: str) -> Validation:
    """Measure every row of a table; ConfigError for an unknown one."""
    published = published_table(name)
    values, runs = MEASURES[name]()
    checks = tuple(Check(name, row, values[row.id]) for row in published.rows)
    return Validation(name, published, checks, runs)
