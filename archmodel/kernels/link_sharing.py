"""Flows that share links: max-min fair rates, and when each flow has moved its bytes."""

import numpy as np
from numba import njit


@njit(cache=True)
def fair_rates(usage, capacity):
    """Max-min fair rates of flows (Bertsekas and Gallager, Data Networks, sec. 6.5.2, with weights).

    The rates of all flows rise together. Where a link is full, those that use it stay as they are, the others rise on.

    Parameters
    ----------
    usage : float64[F, L]     capacity of link l that one unit of flow f takes, at least 0
    capacity : float64[L]     of the links; infinite is allowed

    Returns
    -------
    float64[F]                rates; infinite for a flow that no link limits
    """
    num_flows, num_links = usage.shape
    rates = np.full(num_flows, np.inf)
    rising = np.ones(num_flows, np.bool_)
    left = capacity.copy()
    rate = 0.0
    for _ in range(num_links):
        weight = np.zeros(num_links)
        for f in range(num_flows):
            for link in range(num_links):
                if rising[f]:
                    weight[link] += usage[f, link]
        first, rise = -1, np.inf
        for link in range(num_links):
            if weight[link] > 0 and left[link] / weight[link] < rise:
                first, rise = link, left[link] / weight[link]
        if first < 0:
            break
        rate += rise
        for link in range(num_links):
            if weight[link] > 0:
                left[link] = max(left[link] - rise * weight[link], 0.0)
        left[first] = 0.0
        for f in range(num_flows):
            if rising[f] and usage[f, first] > 0:
                rising[f] = False
                rates[f] = rate
    return rates


@njit(cache=True)
def completion_times(usage, capacity, num_bytes, starts):
    """When flows that share links max-min fairly have moved all their bytes; rates change when one starts or ends.

    Parameters
    ----------
    usage, capacity : as of `fair_rates`
    num_bytes : float64[F]    bytes of each flow
    starts : float64[F]       when it starts, s

    Returns
    -------
    float64[F]                when it has ended, s; infinite for one that a link without capacity holds
    """
    num_flows = num_bytes.size
    ends = np.full(num_flows, np.inf)
    left = num_bytes.copy()
    moment = -np.inf
    for _ in range(2 * num_flows + 1):  # each event starts or ends a flow
        running = np.flatnonzero((ends == np.inf) & (starts <= moment))
        rates = fair_rates(usage[running], capacity)
        following = np.inf
        for f in range(num_flows):
            if starts[f] > moment:
                following = min(following, starts[f])
        until = np.full(running.size, np.inf)
        for at in range(running.size):
            if rates[at] > 0 or left[running[at]] == 0:
                until[at] = moment + (left[running[at]] / rates[at] if left[running[at]] > 0 else 0.0)
            following = min(following, until[at])
        if following == np.inf:
            break
        for at in range(running.size):
            if until[at] <= following:
                ends[running[at]] = following
            else:
                left[running[at]] -= rates[at] * (following - moment)
        moment = following
    return ends
