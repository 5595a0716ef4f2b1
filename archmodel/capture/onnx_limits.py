"""Bounds on the run of a model file that nobody has checked: time, memory and room for its tensors."""

from dataclasses import dataclass

from archmodel.errors import WorkloadError, did_you_mean, one_line, show

OPTION = "--input-limit"
GIB = 2**30
# Fields by the keys that a user writes, with what one of that key is; from SMALLEST to LARGEST of it.
KEYS = {"seconds": ("seconds", 1), "memory_gib": ("memory_bytes", GIB), "disk_gib": ("spool_bytes", GIB)}
SMALLEST, LARGEST = 0.001, 1e6


@dataclass(frozen=True)
class RunLimits:
    """What a run may take: seconds of all inputs together, bytes of memory, bytes of the tensors that it keeps."""

    seconds: float = 120.0
    memory_bytes: int = 8 * GIB
    spool_bytes: int = 64 * GIB

    @classmethod
    def parse(cls, text: str) -> "RunLimits":
        """Read `seconds=600,memory_gib=16`; what it does not name stays as it is."""
        fields: dict[str, float] = {}
        for part in text.split(","):
            key, equals, number = (one.strip() for one in part.partition("="))
            if key not in KEYS or not equals:
                allowed = ", ".join(f"{one}=NUMBER" for one in KEYS)
                raise WorkloadError(f"{OPTION} {show(part)}: allowed: {allowed}{did_you_mean(key, KEYS)}")
            field, unit = KEYS[key]
            if field in fields:
                raise WorkloadError(f"{OPTION} {show(text)}: {key} is given twice")
            try:
                value = float(number)
            except ValueError:
                value = 0.0
            if not SMALLEST <= value <= LARGEST:
                raise WorkloadError(f"{OPTION} {show(part)}: must be a number from {SMALLEST:g} to {LARGEST:g}")
            fields[field] = value if unit == 1 else int(value * unit)
        return cls(**fields)  # type: ignore[arg-type]

    def exceeded(self, bound: str) -> WorkloadError:
        """The error over a bound, `seconds`, `memory` or `spool`, that says how it is raised."""
        what, key, given = {
            "seconds": ("takes more than", "seconds", self.seconds),
            "memory": ("needs more memory than", "memory_gib", self.memory_bytes / GIB),
            "spool": ("gives more tensors than", "disk_gib", self.spool_bytes / GIB),
        }[bound]
        amount = f"{given:g} {'seconds' if bound == 'seconds' else 'GiB'}"
        return WorkloadError(f"its run {what} {amount}; {OPTION} {key}={one_line(f'{2 * given:g}')} allows more")
