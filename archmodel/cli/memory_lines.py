"""Lines below the table of a run about the memory behind the machine: bytes, and of a memory of banks what it did."""

from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.summary import memory_stalls
from archmodel.cli.common import UNBROKEN


def memory_lines(run: RunResult, moved: str, indent: str) -> list[str]:
    """`moved` to and from DRAM; why the machine waited, and how sure its cycles are where a part was run."""
    accesses, hits = (of_layers(run, f"dram_{name}") for name in ("accesses", "row_hits"))
    if not accesses:
        return [f"DRAM         {moved}"]
    lines = [f"DRAM         {moved}, {100 * hits / accesses:.1f} % of accesses find their row open"]
    known = memory_stalls(run.layers)
    reasons, error = known["memory_stalls"], known["dram_error_cycles"]
    if whole := sum(reasons.values()):
        shares = [f"{name}{UNBROKEN}{100 * cycles / whole:.1f}" for name, cycles in reasons.items()]
        lines.append(f"{indent}memory in %: {', '.join(shares)}")
    if error:
        share = f"{100 * error / run.cycles:.2g} % of all cycles"
        lines.append(f"{indent}long streams were run in part: +- {share}; --dram full runs every request")
    return lines


def of_layers(run: RunResult, detail: str) -> int:
    """Sum of a detail of the layers."""
    return sum(int(layer.details.get(detail, 0)) for layer in run.layers)
