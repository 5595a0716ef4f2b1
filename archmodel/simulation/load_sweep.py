"""`archmodel memory-trace --sweep`: latency and delivered bandwidth of patterns over the load that is offered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from archmodel.errors import ConfigError, show
from archmodel.memory.patterns import PATTERNS, USED_BY, Pattern, PatternOptions, check_names
from archmodel.memory.trace_result import TraceResult
from archmodel.memory.trace_target import Target
from archmodel.simulation.given import check_texts
from archmodel.simulation.memory_trace import target_of, traced
from archmodel.simulation.study import Progress

LOADS = tuple(tenth / 10 for tenth in range(1, 11))  # shares of the peak


@dataclass(frozen=True)
class LoadSweep:
    """Patterns on a memory at rising loads.

    curves : of each pattern a result for each of LOADS
    """

    memory: str
    memory_name: str
    peak_bytes_per_s: float
    curves: Mapping[str, Sequence[TraceResult]]

    def as_dict(self) -> dict[str, Any]:
        """The object of `memory-trace --sweep --json`: rows of all patterns, one a load."""
        keys = ("bandwidth_bytes_per_s", "peak_share", "read_latency_ns", "wait_ns", "row_hit_rate", "energy_pj")
        rows = []
        for name, results in self.curves.items():
            for load, result in zip(LOADS, results, strict=True):
                found = result.as_dict()
                offered = {"pattern": name, "offered_share": load, "offered_bytes_per_s": load * self.peak_bytes_per_s}
                rows.append(offered | {key: found[key] for key in keys})
        names = {key: getattr(self, key) for key in ("memory", "memory_name", "peak_bytes_per_s")}
        return {**names, "requests": len(next(iter(self.curves.values()))[0].arrived), "sweep": rows}


def sweep_memory(
    memory: str,
    patterns: Sequence[str] = PATTERNS,
    *,
    seed: int = 0,
    assignments: Sequence[str] = (),
    progress: Progress | None = None,
    **options: Unpack[PatternOptions],
) -> LoadSweep:
    """Send patterns to a memory at 10, 20, ... 100 % of its peak.

    Parameters
    ----------
    patterns : names of them
    options : as of `trace_memory`; one that a pattern does not use is left out for it
    progress : called with pattern and load, 1 and the number of runs when one is done

    The others are those of `trace_memory`. Raises ConfigError with one line.
    """
    check_texts("patterns", patterns, f"names of patterns: {', '.join(PATTERNS)}")
    check_names(list(patterns))
    for key, value in options.items():
        if value is not None and not set(USED_BY.get(key, PATTERNS)) & set(patterns):
            allowed = " or ".join(USED_BY[key])
            raise ConfigError(f"--{key.replace('_', '-')} {show(value)}: used by no pattern of these, by {allowed}")
    if options.get("write_share") == 1:
        raise ConfigError("--write-share 1: a sweep shows the latency of reads; allowed: less than 1")
    target = target_of(memory, assignments)
    curves = {}
    made = [(name, [of_load(name, options, target, load, seed) for load in LOADS]) for name in patterns]
    for name, loads in made:
        results = []
        for one in loads:
            requested = one.trace(target.capacity_bytes, target.peak_bytes_per_cycle)
            results.append(traced(target, memory, None, one, requested, options.get("request_bytes"), False))
            if progress is not None:
                progress(f"{name} {100 * (one.rate or 0):.0f} %", 1, len(made) * len(LOADS))
        curves[name] = tuple(results)
    return LoadSweep(memory, target.config.name, target.peak_bytes_per_s, curves)


def of_load(name: str, options: Mapping[str, Any], target: Target, load: float, seed: int) -> Pattern:
    """A pattern at a share of the peak, of those options that it uses."""
    used = {key: value for key, value in options.items() if name in USED_BY.get(key, PATTERNS)}
    return Pattern.of(name, used, target.access_bytes, load, seed)
