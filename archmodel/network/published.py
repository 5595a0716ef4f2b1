"""A total that others publish for a network, with the digits that they give."""

from typing import Annotated, Literal

from pydantic import Field

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
