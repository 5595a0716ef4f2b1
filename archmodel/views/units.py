"""Units in which figures show times and bytes."""

from collections.abc import Sequence

Units = Sequence[tuple[str, float]]
TIME_UNITS: Units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
BYTE_UNITS: Units = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("bytes", 1))


def unit_of(value: float, units: Units) -> tuple[str, float]:
    """The largest unit of which a value has one, else the smallest, with its size."""
    return next((one for one in units if value >= one[1]), units[-1])


def spelt(value: float, units: Units) -> str:
    """A value in its unit."""
    unit, size = unit_of(value, units)
    return f"{value / size:.4g} {unit}"
