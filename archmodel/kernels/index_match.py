"""Sparse synapses that pick their neurons from windows of candidates by step indices."""

import numpy as np
from numba import njit

NEGLIGIBLE = 1e-15  # probability that a distribution forgets: below the rounding of sums near 1


@njit(cache=True, nogil=True)
def window_entries(mask, window, longest_run):
    """Stored synapses of each output neuron in every window of candidate neurons (Cambricon-X, MICRO 2016).

    A synapse is stored with the distance to the one before; after `longest_run` zeros in a row an explicit zero is
    stored, which belongs to the window of its place. Zeros behind the last synapse are not stored.

    Parameters
    ----------
    mask : uint8[F, D]     non-zero synapses of F output neurons, 0 or 1
    window : int           candidates of a window
    longest_run : int      zeros that a step skips at most

    Returns
    -------
    int64[F, ceil(D / window)]
    """
    num_neurons, depth = mask.shape
    entries = np.zeros((num_neurons, (depth + window - 1) // window), np.int64)
    for neuron in range(num_neurons):
        after_last = 0
        for cell in range(depth):
            if mask[neuron, cell]:
                while cell - after_last > longest_run:
                    after_last += longest_run
                    entries[neuron, after_last // window] += 1
                    after_last += 1
                entries[neuron, cell // window] += 1
                after_last = cell + 1
    return entries


@njit(cache=True, nogil=True)
def match_neurons(entry_ptr, step, synapse, neurons, window, lanes):
    """Sums of the output neurons, and the cycles in which the multipliers of a PE form them.

    The steps are added up to the place of each synapse's neuron. A cycle multiplies up to `lanes` neurons of one
    window; a window of which nothing is needed takes one as well.

    Parameters
    ----------
    entry_ptr : int64[F + 1]    first stored synapse of each output neuron
    step : int64[E]             distance to the synapse before, at least 1
    synapse : int64[E]
    neurons : int64[D, N]       candidates, at N positions
    window, lanes : int

    Returns
    -------
    sums : int64[F, N]
    cycles : int64[F]           of one position
    """
    num_neurons, (depth, num_positions) = entry_ptr.size - 1, neurons.shape
    sums = np.zeros((num_neurons, num_positions), np.int64)
    cycles = np.zeros(num_neurons, np.int64)
    for neuron in range(num_neurons):
        place, end, filled = -1, window, 0  # of the last synapse; behind the window; lanes taken in this cycle
        spent = 1
        for entry in range(entry_ptr[neuron], entry_ptr[neuron + 1]):
            place += step[entry]
            while place >= end:
                end, filled, spent = end + window, 0, spent + 1
            if filled == lanes:
                filled, spent = 0, spent + 1
            filled += 1
            for position in range(num_positions):
                sums[neuron, position] += synapse[entry] * neurons[place, position]
        while end < depth:
            end, spent = end + window, spent + 1
        cycles[neuron] = spent
    return sums, cycles


@njit(cache=True, nogil=True)
def window_entries_pmf(window, density, longest_run):
    """Probability of each number of stored synapses in a window that is preceded and followed by others.

    Synapses are non-zero independently, and so are the distances from one stored synapse to the next: of up to
    `longest_run` zeros before a non-zero, or of so many before an explicit zero. The row is endless: before the
    window, each number of zeros since the last stored one is as likely as such a distance is longer.

    Returns float64[window + 1]
    """
    zero, full_run = 1.0 - density, (1.0 - density) ** longest_run
    runs = zero ** np.arange(longest_run + 1)
    place = np.zeros(window)  # probability that each cell has the first stored synapse, the second, and so on
    place[: longest_run + 1] = runs[:window] / runs.sum()
    following = np.empty(window)
    probability = np.zeros(window + 1)
    before = 1.0
    for entries in range(window + 1):
        more = place.sum()
        probability[entries] = max(0.0, before - more)
        before = more
        if more < NEGLIGIBLE:
            break
        recent = 0.0  # probability that the one before is in reach of a step, with zeros since
        for cell in range(window):
            following[cell] = density * recent
            recent = zero * recent + place[cell]
            if cell >= longest_run:
                recent -= full_run * place[cell - longest_run]
            if cell > longest_run:
                following[cell] += full_run * place[cell - longest_run - 1]
        place, following = following, place
    return probability
