"""The rows of a published table: the value, who says so, and the band in which ours is accepted."""

import csv
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.config import FrozenModel, folder

Kind = Literal["gate", "band", "identity", "fitted", "report"]


class PublishedRow(FrozenModel):
    """One published value and the band in which ours is accepted.

    gate : a miss fails `validate`; band : a miss is shown; identity : equal to the last digit, a miss fails;
    fitted : the value that a constant was fitted to, so that ours is no prediction; `reason` names the constant;
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
        if self.kind in ("identity", "fitted") and self.published is None:
            raise ValueError(f"{self.id}: {self.kind} needs published")
        return self

    @property
    def limits(self) -> tuple[float, float] | None:
        """Lowest and highest accepted value; None where everything is."""
        if self.kind in ("fitted", "report") or self.published is None:
            return None
        if self.kind == "identity":
            return self.published, self.published
        if self.tolerance is not None:
            return self.published * (1 - self.tolerance), self.published * (1 + self.tolerance)
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high


class PublishedTable(FrozenModel):
    """A table or figure of a paper."""

    title: str
    citation: str
    folder: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]  # of its results
    notes: tuple[str, ...] = Field(default=(), strict=False)  # paragraphs on the deviations, for the written comparison
    rows: tuple[PublishedRow, ...] = Field(default=(), strict=False)  # but those whose values stand elsewhere


def csv_rows(file: str) -> list[dict[str, str]]:
    """The rows of a CSV file of configs/published, whose source stands in comment lines above its header."""
    lines = (folder("published") / file).read_text("utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
