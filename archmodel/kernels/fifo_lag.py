"""Expected time of PEs that share a broadcast, and can run apart only by what their FIFOs hold."""

import numpy as np
from numba import njit

NEGLIGIBLE = 1e-12  # probability of the slowest PE being elsewhere that no longer moves its expectation


@njit(nogil=True)
def expected_slowest(probability, num_pes, last):
    """Expected cell of the slowest of independent PEs; probability : float64[K, L], of one of each kind."""
    tail = np.zeros(probability.shape[0])
    slowest = np.float64(last)
    for cell in range(last, 0, -1):
        none_later = 1.0
        for kind in range(tail.size):
            tail[kind] += probability[kind, cell]
            none_later *= max(1.0 - tail[kind], 0.0) ** num_pes[kind]
        slowest -= none_later
        if none_later < NEGLIGIBLE:
            break
    return slowest


@njit(nogil=True)
def advance(probability, following, steps, grid, bound, last):
    """One step of every PE: wait for its weights until cell `bound`, then work.

    A PE without work in this step would wait at its next one, so that it may as well wait here. One that waits is
    between two cells; its probability is shared so that its expected time is kept.
    """
    following[:] = 0.0
    ahead = np.int64(np.floor(bound)) if bound > 0.0 else np.int64(-1)  # cells up to this one wait
    share = bound - ahead
    for kind in range(steps.shape[0]):
        waiting = probability[kind, : ahead + 1].sum()
        for vectors in range(steps.shape[1]):
            chance, shift = steps[kind, vectors], vectors * grid
            if chance == 0.0:
                continue
            for cell in range(ahead + 1, last + 1):
                following[kind, cell + shift] += chance * probability[kind, cell]
            if ahead >= 0:
                following[kind, ahead + shift] += chance * waiting * (1.0 - share)
                following[kind, ahead + shift + 1] += chance * waiting * share


@njit(cache=True, nogil=True)
def expected_coupled_cycles(steps, num_pes, num_steps, vectors_per_step, entries, per_cycle, grid, window):
    """Expected cycles of the slowest PE when a weight vector is broadcast once all FIFOs have room for it.

    The time at which a PE is done with a step is a distribution that is walked step by step. Weight vector j enters
    the FIFOs when the slowest PE is done with vector j - entries; for that moment its expectation is taken, the
    maximum of PEs taken as independent. This is exact when the PEs never wait for weights, and when they meet after
    every step. In cells of vectors_per_step / grid cycles.

    Parameters
    ----------
    steps : float64[K, S]       probability that a PE of kind k has 0..S-1 activation vectors for a step's weights
    num_pes : int64[K]          PEs of each kind
    num_steps : int             equal blocks of weights, one after the other
    vectors_per_step : float    weight vectors of a block
    entries, per_cycle : int    weight vectors that a FIFO holds, and that are broadcast a cycle
    grid : int                  cells of an activation vector's pass over a block
    window : (int, int)         cells that are walked below and above the slowest PE; lower ones are taken as the lowest
    """
    below, above = window
    size, reach = below + above, (steps.shape[1] - 1) * grid + 2
    probability = np.zeros((steps.shape[0], size + reach))
    following = np.zeros_like(probability)
    probability[:, 0] = 1.0
    done = np.zeros(num_steps + 1)  # cycle in which the slowest PE is done with each step
    cell_cycles, origin, last = vectors_per_step / grid, 0, 0
    arrival, bound = -1.0, -1.0
    for step in range(num_steps):
        beyond = (step + 1) * vectors_per_step - entries  # vectors to be freed before this step's last one
        if vectors_per_step > entries:  # in pieces, in each of which all PEs wait for the slowest
            arrival = max(arrival + 1.0 / per_cycle, done[step] - entries + 1.0 if step else 0.0)
            bound = min(arrival / cell_cycles - origin, np.float64(last))
            arrival += (vectors_per_step - 1.0) / per_cycle
        elif beyond > 0.0:
            source = np.int64(np.ceil(beyond / vectors_per_step - 1e-9)) - 1
            last_pass = max(done[source + 1] - vectors_per_step, done[source])
            freed = last_pass + beyond - source * vectors_per_step
            start = max(arrival + 1.0 / per_cycle, freed - (vectors_per_step - 1.0))
            arrival = max(arrival + vectors_per_step / per_cycle, freed)
            bound = min(start / cell_cycles - origin, np.float64(last))
        advance(probability, following, steps, grid, bound, last)
        last += reach
        while last > 0 and following[:, last].max() < NEGLIGIBLE:
            last -= 1
        slowest = expected_slowest(following, num_pes, last)
        done[step + 1] = max((origin + slowest) * cell_cycles, done[step])
        shift = max(np.int64(slowest) - below, last + 1 - size, 0)
        if shift:
            for kind in range(steps.shape[0]):
                lowest = following[kind, : shift + 1].sum()
                for cell in range(1, last - shift + 1):
                    following[kind, cell] = following[kind, cell + shift]
                following[kind, 0] = lowest
            origin += shift
            last -= shift
        probability, following = following, probability
    return done[num_steps]
