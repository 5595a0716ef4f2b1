"""A total that others publish for a network, with the digits that they give."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from archmodel.config import FrozenModel
from archmodel.network.chain import Text

# primary: the authors' own data, code or paper; transcribed: a third party's copy of the paper; computed: follows from
# public shapes; recalled: from memory of the paper.
Provenance = Literal["primary", "transcribed", "computed", "recalled"]


class PublishedTotal(FrozenModel):
    """A total for one image; its trailing zeros are digits that nobody gives, unless it is ``exact``.

    ``difference`` says why the network need not have the total.
    """

    total: Annotated[int, Field(ge=1)]
    exact: bool = False
    provenance: Provenance | None = None
    source: Text | None = None
    difference: Text | None = None

    @property
    def rounding(self) -> float:
        """Half of the last digit given: 724_000_000 is published to the million."""
        digits = str(self.total)
        return 0.0 if self.exact else 10 ** (len(digits) - len(digits.rstrip("0"))) / 2


def _with_digits(value: object) -> object:
    """A bare number is a total without a source."""
    if type(value) is int:
        return {"total": value}
    if not isinstance(value, dict):
        raise ValueError("must be a whole number or a section with total")
    return value


Total = Annotated[PublishedTotal, BeforeValidator(_with_digits)]


class Published(FrozenModel):
    """What others publish of `Network.totals`."""

    parameters: Total | None = None
    parameters_mib: Total | None = None
    macs: Total | None = None
    conv_macs: Total | None = None

    def totals(self) -> dict[str, PublishedTotal]:
        """Those that are given."""
        return {quantity: total for quantity, total in self if total is not None}
