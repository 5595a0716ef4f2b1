"""What is tried until an iteration fits a memory: plans, algorithms and, if nothing else helps, late prefetches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from archmodel.training.offloading import Static
from archmodel.training.placement import aligned
from archmodel.training.plan import Plan, by_slot
from archmodel.training.policies import Policy
from archmodel.training.prefetching import Prefetches, ideal_prefetches, late_prefetches
from archmodel.training.residency import Fit, Options, fit, live_bytes, workspaces
from archmodel.training.step_times import Mode

Rule = tuple[Static, Mode, bool]  # what is offloaded, by which mode, whether algorithms are downgraded on overflow

DYN_RULES: tuple[Rule, ...] = (
    ("all", "memory", False),  # trainability
    ("none", "performance", False),
    ("conv", "performance", False),
    ("all", "performance", False),
    ("conv", "performance", True),
    ("all", "performance", True),
    ("conv", "memory", False),
    ("all", "memory", False),
)
ROOM_PARTS = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the room in each slot, that prefetches fill: a pool has fragments


@dataclass(frozen=True)
class Trial:
    """A plan with its algorithms, and whether a memory of the capacity took it.

    late : prefetches of the window are put off where they have no room
    """

    offload: Static
    mode: Mode
    greedy: bool
    plan: Plan
    fit: Fit
    late: bool = False


def all_trials(
    plan_of: Callable[[Static], Plan], options: Options, policy: Policy, mode: Mode, capacity_bytes: int | None
) -> tuple[Trial, ...]:
    """What is tried, up to the trial that is taken: as published, and if that does not fit, with late prefetches.

    Late prefetches that do not help are left out: what is taken then is the last trial as published.
    """
    plans: dict[Static, Plan] = {}

    def trial(rule: Rule, late: bool) -> Trial:
        offload, algorithms, greedy = rule
        plan = plans[offload] = plans[offload] if offload in plans else plan_of(offload)
        picks = [len(choices) - 1 if algorithms == "memory" else 0 for choices in options]
        if policy.prefetch == "ideal":
            return Trial(*rule, *_ideal(plan, options, picks, capacity_bytes))
        if late and capacity_bytes is not None:
            return Trial(*rule, *_late(plan, options, picks, capacity_bytes, greedy), late=True)
        return Trial(*rule, plan, fit(plan, options, picks, capacity_bytes, greedy=greedy))

    def in_order(late: bool) -> tuple[Trial, ...]:
        if policy.offload != "dyn":
            return (trial((policy.offload, mode, False), late),)
        found: list[Trial] = []
        for rule in DYN_RULES:
            found.append(trial(rule, late))
            if found[-1].fit.fits == (len(found) > 1):  # the first one only tells whether any can
                break
        return tuple(found)

    published = in_order(late=False)
    if published[-1].fit.fits or capacity_bytes is None or policy.prefetch == "ideal":
        return published
    late = in_order(late=True)
    return published + late if late[-1].fit.fits else published


def _late(plan: Plan, options: Options, picks: Sequence[int], capacity_bytes: int, greedy: bool) -> tuple[Plan, Fit]:
    """The plan with prefetches that are put off as little as the memory allows.

    They come before the workspaces that ``greedy`` can take away, as when nothing is put off.
    """
    sizes = _sizes(plan)
    demanded = replace(plan, prefetches=Prefetches(demanded=by_slot(plan.needed)))
    free_bytes = _free_bytes(demanded, options, [-1] * len(picks) if greedy else picks, capacity_bytes)

    def put_off(room_bytes: list[int]) -> Prefetches:
        return late_prefetches(plan.prefetches, plan.needed, sizes, room_bytes)

    for prefetches in _filling(free_bytes, put_off):
        late = replace(plan, prefetches=prefetches)
        fitted = fit(late, options, picks, capacity_bytes, greedy=greedy)
        if fitted.fits:
            break
    return late, fitted


def _ideal(plan: Plan, options: Options, picks: Sequence[int], capacity_bytes: int | None) -> tuple[Plan, Fit]:
    """The plan with ideal prefetches: the earliest that the memory takes."""
    sizes = _sizes(plan)
    latest = replace(plan, streams_freely=True, prefetches=Prefetches(by_slot(plan.needed)))

    def early(room_bytes: list[int] | None) -> Prefetches:
        return ideal_prefetches(plan.slots, plan.needed, sizes, room_bytes)

    without_end = replace(latest, prefetches=early(None))
    if capacity_bytes is None:
        return without_end, fit(without_end, options, picks, None)
    for prefetches in _filling(_free_bytes(latest, options, picks, capacity_bytes), early):
        found = replace(latest, prefetches=prefetches)
        fitted = fit(found, options, picks, capacity_bytes)
        if fitted.fits:
            return found, fitted
    return without_end, fitted


def _filling(free_bytes: Sequence[int], of_room: Callable[[list[int]], Prefetches]) -> Iterator[Prefetches]:
    """Prefetches that fill what is free in each slot, then less and less of it; none twice."""
    found: list[Prefetches] = []
    for part in ROOM_PARTS:
        prefetches = of_room([int(part * free) for free in free_bytes])
        if prefetches not in found:
            found.append(prefetches)
            yield prefetches


def _sizes(plan: Plan) -> dict[str, int]:
    """Bytes that each offloaded tensor takes in memory."""
    return {name: aligned(plan.graph.tensors[name].num_bytes) for name in plan.needed}


def _free_bytes(plan: Plan, options: Options, picks: Sequence[int], capacity_bytes: int) -> list[int]:
    """What is free in each slot, when most is held; below 0 where that is too much."""
    live = live_bytes(plan, plan.stays, workspaces(options, picks))
    return [capacity_bytes - int(live[slot.first : slot.last + 1].max()) for slot in plan.slots]
