"""Sparse synapses that pick their neurons from windows of candidates by step indices."""

import numpy as np
from numba import njit


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

    Synapses are non-zero independently; the state is how many zeros there were since the last stored one, which
    before the window is as likely as in an endless row.  float64[window + 1]
    """
    runs = longest_run + 1
    state = np.zeros((runs, window + 2))
    start = (1.0 - density) ** np.arange(runs)
    state[:, 0] = start / start.sum()
    for cell in range(window):
        following = np.zeros_like(state)
        for run in range(runs):
            for entries in range(cell + 1):
                probability = state[run, entries]
                following[0, entries + 1] += probability * density
                if run == longest_run:
                    following[0, entries + 1] += probability * (1.0 - density)
                else:
                    following[run + 1, entries] += probability * (1.0 - density)
        state = following
    return state.sum(axis=0)[: window + 1]
