"""Whether a plan fits a memory: its tensors from a pool, step by step, with the workspace that algorithms want."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archmodel.training.placement import Placement
from archmodel.training.plan import Plan, Stay
from archmodel.training.pool import BestFitPool, CapacityError, spelt_bytes
from archmodel.training.step_times import StepTime
from archmodel.training.steps import Step

Options = Sequence[tuple[StepTime, ...]]


def workspace_id(step: Step) -> str:
    """The tensor that is the workspace of a step."""
    return f"workspace.{step.operation}:{step.layer}"


@dataclass(frozen=True)
class Fit:
    """A plan in a memory.

    picks : of each step which of its options was taken
    reserved_bytes : that the pool grows to, or where the highest address ends that was chosen beforehand (``placed``)
    why_not : the step for which there was no room; '' where all fits, and then the bytes are those of the iteration
    """

    picks: tuple[int, ...]
    reserved_bytes: int
    peak_live_bytes: int
    why_not: str = ""
    placed: bool = False

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
    options: Options,
    picks: Sequence[int],
    capacity_bytes: int | None,
    *,
    greedy: bool = False,
) -> Fit:
    """Put a plan into a best-fit pool; if that is too scattered, at addresses that are chosen beforehand.

    Where the workspace of a step finds no room and ``greedy`` is set, the step goes on to its next option, which wants
    less; what earlier steps have taken stays.
    """
    stays, pool = plan.stays, BestFitPool(capacity_bytes=capacity_bytes)
    if capacity_bytes is not None:
        live = live_bytes(plan, stays, workspaces(options, [-1] * len(picks) if greedy else picks))
        if live.max() > capacity_bytes:
            first = int(np.argmax(live > capacity_bytes))
            needed, held = spelt_bytes(int(live[first])), spelt_bytes(capacity_bytes)
            why_not = f"{_where(plan, first)}: {needed} are needed at once, of {held}"
            return Fit(tuple(picks), 0, int(live.max()), why_not)
    pooled = _in_pool(pool, plan, stays, options, picks, greedy)
    if pooled.fits or capacity_bytes is None:
        return pooled
    placed = _placed(plan, stays, options, picks, capacity_bytes, greedy)
    return pooled if placed is None else placed


def workspaces(options: Options, picks: Sequence[int]) -> list[int]:
    """Bytes of the option that each step takes."""
    return [choices[pick].workspace_bytes for choices, pick in zip(options, picks, strict=True)]


def _in_pool(
    pool: BestFitPool, plan: Plan, stays: Sequence[Stay], options: Options, picks: Sequence[int], greedy: bool
) -> Fit:
    """Tensors come in the order of the graph, a prefetched one before the steps of its slot, a workspace last."""
    picks = list(picks)
    begins, ends, after = _by_step(plan, stays)
    why_not = ""
    for place, step in enumerate(plan.graph.steps):
        try:
            for stay in begins[place]:
                pool.allocate(stay.tensor, stay.num_bytes)
            picks[place] = _take_workspace(pool, workspace_id(step), options[place], picks[place], greedy)
        except CapacityError as error:
            why_not = f"{_where(plan, place)}: {error}"
            break
        if options[place][picks[place]].workspace_bytes:
            pool.free(workspace_id(step))
        for stay in (*ends[place], *after[place]):
            pool.free(stay.tensor)
    live = live_bytes(plan, stays, workspaces(options, picks))
    return Fit(tuple(picks), pool.reserved_bytes, int(live.max()), why_not)


def _placed(
    plan: Plan, stays: Sequence[Stay], options: Options, picks: Sequence[int], capacity_bytes: int, greedy: bool
) -> Fit | None:
    """All at addresses of their own, or workspaces in what tensors leave free; None if neither fits.

    What ``greedy`` lets steps take is only known step by step: it is put into what is free.
    """
    if not greedy:
        held = [Stay(workspace_id(step), wanted, place, place) for place, step, wanted in _wanted(plan, options, picks)]
        together = Placement([*stays, *held], capacity_bytes)
        if together.fits:
            live = live_bytes(plan, stays, workspaces(options, picks))
            return Fit(tuple(picks), together.reserved_bytes, int(live.max()), placed=True)
    placement, picks = Placement(stays, capacity_bytes), list(picks)
    if not placement.fits:
        return None
    reserved_bytes = placement.reserved_bytes
    for place, choices in enumerate(options):
        while choices[picks[place]].workspace_bytes:
            end_bytes = placement.end_bytes(place, choices[picks[place]].workspace_bytes)
            if end_bytes <= capacity_bytes:
                reserved_bytes = max(reserved_bytes, end_bytes)
                break
            if not greedy or picks[place] + 1 == len(choices):
                return None
            picks[place] += 1
    live = live_bytes(plan, stays, workspaces(options, picks))
    return Fit(tuple(picks), reserved_bytes, int(live.max()), placed=True)


def _wanted(plan: Plan, options: Options, picks: Sequence[int]) -> list[tuple[int, Step, int]]:
    """Places of the steps that want a workspace, with its bytes."""
    found = zip(plan.graph.steps, workspaces(options, picks), strict=True)
    return [(place, step, num_bytes) for place, (step, num_bytes) in enumerate(found) if num_bytes]


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
