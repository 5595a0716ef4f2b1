"""Synapses that pick their neurons by steps, against lists of places."""

import numpy as np
import pytest

from archmodel.kernels.index_match import match_neurons, window_entries, window_entries_pmf
from tests.reference.run_length import in_vectors, stored_positions

CORNERS = [[], [0], [1], [0, 0, 0], [1, 1, 1], [0] * 9 + [1], [1] + [0] * 9, [0, 0, 1, 0, 0, 0, 0, 1, 1, 0]]


def rows(seed):
    rng = np.random.default_rng(seed)
    return (rng.random((3, int(rng.integers(1, 25)))) < rng.choice([0.05, 0.3, 0.9])).astype(np.uint8).tolist()


CASES = [[corner] for corner in CORNERS] + [rows(seed) for seed in range(12)]


@pytest.mark.parametrize("mask", CASES)
@pytest.mark.parametrize("longest_run", [1, 2, 3, 255])
@pytest.mark.parametrize("window", [1, 4, 7, 256])
def test_entries_are_counted_in_the_window_of_their_place(mask, longest_run, window):
    entries = window_entries(np.array(mask, np.uint8).reshape(len(mask), -1), window, longest_run)
    for row, counted in zip(mask, entries.tolist(), strict=True):
        places = stored_positions(row, longest_run)
        assert counted == [sum(place in part for place in places) for part in in_vectors(range(len(row)), window)]


@pytest.mark.parametrize("mask", [case for case in CASES if case[0]])
@pytest.mark.parametrize("longest_run", [1, 255])
@pytest.mark.parametrize("window", [1, 4, 256])
@pytest.mark.parametrize("lanes", [1, 3])
def test_selected_neurons_are_multiplied_window_by_window(mask, longest_run, window, lanes):
    rng = np.random.default_rng(1)
    depth = len(mask[0])
    synapses = rng.integers(-9, 10, (len(mask), depth)) * mask
    neurons = rng.integers(-9, 10, (depth, 2))
    places = [stored_positions(row, longest_run) for row in mask]
    entry_ptr = np.cumsum([0, *map(len, places)])
    step = np.array([b - a for row in places for a, b in zip([-1, *row], row, strict=False)], np.int64)
    synapse = np.array([synapses[k, place] for k, row in enumerate(places) for place in row], np.int64)
    sums, cycles = match_neurons(entry_ptr, step, synapse, neurons, window, lanes)
    assert sums.tolist() == (synapses @ neurons).tolist()
    for row, spent in zip(places, cycles.tolist(), strict=True):
        windows = [[place for place in row if place in part] for part in in_vectors(range(depth), window)]
        assert spent == sum(max(1, len(in_vectors(needed, lanes))) for needed in windows)


@pytest.mark.parametrize(("window", "density", "run"), [(1, 0.3, 1), (5, 0.4, 1), (6, 0.2, 3), (4, 0.9, 7)])
def test_the_distribution_is_that_of_all_rows_behind_a_long_prefix(window, density, run):
    runs = np.array([(1 - density) ** zeros for zeros in range(run + 1)])  # zeros since the last entry, endless row
    expected = np.zeros(window + 1)
    for zeros, start in enumerate(runs / runs.sum()):
        for cells in range(2**window):
            row = [cells >> cell & 1 for cell in range(window)]
            places = stored_positions([0] * zeros + row + [1], run)
            within = sum(zeros <= place < zeros + window for place in places)
            expected[within] += start * density ** sum(row) * (1 - density) ** (window - sum(row))
    assert window_entries_pmf(window, density, run) == pytest.approx(expected)
