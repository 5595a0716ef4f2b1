"""Published tables as checks: the paper's value beside ours, a stated band and its reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel import config
from archmodel.accelerators.result import RunResult
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.validation.cambricon_x import measure_cambricon_x
from archmodel.validation.cnvlutin import cnvlutin_figures, measure_cnvlutin
from archmodel.validation.dadiannao import measure_dadiannao
from archmodel.validation.eie import eie_figures, measure_eie
from archmodel.validation.scnn import Measured, dnnsim_figures, measure_dnnsim, measure_scnn, scnn_figures
from archmodel.validation.scnn_energy import measure_scnn_energy
from archmodel.validation.tpu import measure_tpu, tpu_figures
from archmodel.views.figure import Drawing, Rows

Kind = Literal["gate", "band", "identity", "report"]
Verdict = Literal["pass", "FAIL", "outside", "-"]


class PublishedRow(config.FrozenModel):
    """One published value and the band in which ours is accepted.

    gate : a miss fails `validate`; band : a miss is shown; identity : equal to the last digit, a miss fails;
    report : nothing is published, or a difference is explained by `reason`
    """

    id: str
    what: str
    kind: Kind
    published: float | int | None = None
    provenance: str = ""
    tolerance: Annotated[float, Field(ge=0, le=1)] | None = None
    low: float | None = None
    high: float | None = None
    reason: str

    @model_validator(mode="after")
    def _one_band(self) -> "PublishedRow":
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        bands = {(0, True), (2, False)}  # a tolerance, or both bounds
        if self.kind in ("gate", "band") and (
            self.published is None or (len(bounds), self.tolerance is not None) not in bands or bounds != sorted(bounds)
        ):
            raise ValueError(f"{self.id}: a {self.kind} needs published, and either tolerance or low <= high")
        if self.kind == "identity" and self.published is None:
            raise ValueError(f"{self.id}: an identity needs published")
        return self

    @property
    def limits(self) -> tuple[float, float] | None:
        """Lowest and highest accepted value; None where everything is."""
        if self.kind == "report" or self.published is None:
            return None
        if self.kind == "identity":
            return self.published, self.published
        if self.tolerance is not None:
            return self.published * (1 - self.tolerance), self.published * (1 + self.tolerance)
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high


class PublishedTable(config.FrozenModel):
    """A table or figure of a paper."""

    title: str
    citation: str
    folder: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]  # of its results
    notes: tuple[str, ...] = Field(default=(), strict=False)  # paragraphs on the deviations, for the written comparison
    rows: tuple[PublishedRow, ...] = Field(strict=False)


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
    "cnvlutin": measure_cnvlutin,
    "dadiannao": measure_dadiannao,
    "cambricon_x": measure_cambricon_x,
    "dnnsim": measure_dnnsim,
    "eie": measure_eie,
    "scnn": measure_scnn,
    "scnn_energy": measure_scnn_energy,
    "tpu_v1": measure_tpu,
}

# Figures of the field beside the one that every table has, by the name of the file.
FIGURES: dict[str, Callable[[Rows, Mapping[str, RunResult]], dict[str, Drawing]]] = {
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


def validate(name: str) -> Validation:
    """Measure every row of a table; ConfigError for an unknown one."""
    check_tables([name])
    published = config.load("published", name, PublishedTable)
    values, runs = MEASURES[name]()
    checks = tuple(Check(name, row, values[row.id]) for row in published.rows)
    return Validation(name, published, checks, runs)
