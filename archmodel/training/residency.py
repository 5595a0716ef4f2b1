"""Whether a plan fits a memory: its tensors from a pool, step by step, with the workspace that algorithms want."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archmodel.training.plan import Plan, Stay
from archmodel.training.pool import BestFitPool, CapacityError
from archmodel.training.step_times import StepTime
from archmodel.training.steps import Step


def workspace_id(step: Step) -> str:
    """The tensor that is the workspace of a step."""
    return f"workspace.{step.operation}:{step.layer}"


@dataclass(frozen=True)
class Fit:
    """A plan in a pool.

    picks : of each step which of its options was taken; reserved_bytes : that the pool grows to
    why_not : the step for which there was no room; '' where all fits, and then the bytes are those of the iteration
    """

    picks: tuple[int, ...]
    reserved_bytes: int
    peak_live_bytes: int
    why_not: str = ""

    @property
    def fits(self) -> bool:
        return not self.why_not


def live_bytes(plan: Plan, stays: Sequence[Stay], workspace_bytes: Sequence[int]) -> npt.NDArray[np.int64]:
    """int64[steps], what is held during each step."""
    changes = np.zeros(len(plan.graph.steps) + 1, np.int64)
    for stay in stays:
        changes[stay.first] += stay.num_bytes
        changes[stay.last + 1] -= stay.num_bytes
    return changes.cumsum()[:-1] + np.array(workspace_bytes, np.int64)


def fit(
    plan: Plan,
    options: Sequence[tuple[StepTime, ...]],
    picks: Sequence[int],
    capacity_bytes: int | None,
    *,
    greedy: bool = False,
) -> Fit:
    """Put a plan into a best-fit pool.

    Where the workspace of a step finds no room and ``greedy`` is set, the step goes on to its next option, which wants
    less; what earlier steps have taken stays. Tensors come in the order of the graph, a prefetched one before the
    steps of its slot, a workspace last.
    """
    picks = list(picks)
    stays = plan.stays()
    least = [choices[-1].workspace_bytes for choices in options]
    workspace = [choices[pick].workspace_bytes for choices, pick in zip(options, picks, strict=True)]
    live = live_bytes(plan, stays, least if greedy else workspace)
    if capacity_bytes is not None and live.max() > capacity_bytes:
        first = int(np.argmax(live > capacity_bytes))
        why_not = f"{_where(plan, first)}: {live[first]} bytes are needed at once, of {capacity_bytes}"
        return Fit(tuple(picks), 0, int(live.max()), why_not)
    pool = BestFitPool(capacity_bytes=capacity_bytes)
    begins, ends, after = _by_step(plan, stays)
    place = 0
    try:
        for place in range(len(plan.graph.steps)):
            for stay in begins[place]:
                pool.allocate(stay.tensor, stay.num_bytes)
            name = workspace_id(plan.graph.steps[place])
            picks[place] = _take_workspace(pool, name, options[place], picks[place], greedy)
            workspace[place] = options[place][picks[place]].workspace_bytes
            if workspace[place]:
                pool.free(name)
            for stay in (*ends[place], *after[place]):
                pool.free(stay.tensor)
    except CapacityError as error:
        return Fit(tuple(picks), pool.reserved_bytes, int(live.max()), f"{_where(plan, place)}: {error}")
    return Fit(tuple(picks), pool.reserved_bytes, int(live_bytes(plan, stays, workspace).max()))


def _take_workspace(pool: BestFitPool, name: str, choices: tuple[StepTime, ...], pick: int, greedy: bool) -> int:
    """Allocate the workspace of a step; the option whose workspace found room."""
    while choices[pick].workspace_bytes:
        try:
            pool.allocate(name, choices[pick].workspace_bytes)
            break
        except CapacityError:
            if not greedy or pick + 1 == len(choices):
                raise
            pick += 1
    return pick


def _by_step(plan: Plan, stays: Sequence[Stay]) -> tuple[list[list[Stay]], list[list[Stay]], list[list[Stay]]]:
    """What begins with each step, what ends with it, and what ends with its slot."""
    begins: list[list[Stay]] = [[] for _ in plan.graph.steps]
    ends: list[list[Stay]] = [[] for _ in plan.graph.steps]
    after: list[list[Stay]] = [[] for _ in plan.graph.steps]
    for stay in sorted(stays, key=lambda stay: not stay.from_slot):
        begins[stay.first].append(stay)
    for stay in stays:
        (after if stay.to_slot else ends)[stay.last].append(stay)
    return begins, ends, after


def _where(plan: Plan, place: int) -> str:
    return f"{plan.graph.network} with a batch of {plan.graph.batch}, step {plan.graph.steps[place].name}"
