"""What a user can get wrong, said in one line: what, where (file, section, key), what is allowed, the nearest name."""

import difflib
from collections.abc import Iterable

SHOWN_CHARACTERS = 60


class ArchmodelError(ValueError):
    """Base of every error that a user can cause; its text is one line."""


class ConfigError(ArchmodelError):
    """A configuration file, a name of one, or a ``--set`` override is wrong."""


class WorkloadError(ArchmodelError):
    """A network, one of its layers, or its operands cannot be."""


class UnknownDensityError(WorkloadError):
    """Nothing says how many non-zeros an operand has; ``remedy`` is what a user can give."""

    def __init__(self, where: str, operand: str, remedy: str) -> None:
        super().__init__(f"{where}: no {operand} density is stated; {remedy}")
        self.remedy = remedy


class ResultError(ArchmodelError):
    """A result file cannot be read, written or compared."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the allowed name nearest to ``name``, or ``""`` when none is near."""
    by_folded_name = {candidate.lower(): candidate for candidate in allowed}
    nearest = difflib.get_close_matches(name[:SHOWN_CHARACTERS].lower(), by_folded_name, n=1)
    return f"; did you mean {by_folded_name[nearest[0]]!r}?" if nearest else ""


def one_line(text: str, limit: int | None = None) -> str:
    """``text`` on one printable line: white space folded, control characters escaped, cut to ``limit`` characters."""
    folded = " ".join(text.split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in folded)
    return line if limit is None or len(line) <= limit else line[: limit - 3] + "..."


def show(value: object) -> str:
    """``value`` as TOML would spell it, escaped and cut to ``SHOWN_CHARACTERS``."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, tables nested very deep
        return f"<{type(value).__name__} too large to show>"
    return one_line(text, SHOWN_CHARACTERS)


def uncapitalized(text: str) -> str:
    """A sentence as the rest of a line; names such as K and PE keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
