"""Products of two non-zeros whose output is in range, counted from masks tap by tap; padding is zero."""

import numpy as np


def convolution(inputs, weights, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), groups=1):
    """Masks [N, C, H, W] and [K, C / groups, R, S]; `pads` are top, left, bottom, right."""
    top, left, bottom, right = pads
    padded = np.pad(np.asarray(inputs, np.int64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    _, C, height, width = padded.shape
    K, depth, R, S = weights.shape
    count = 0
    for r in range(R):
        for s in range(S):
            last_row = height - (R - 1 - r) * dilations[0]
            last_column = width - (S - 1 - s) * dilations[1]
            read = padded[:, :, r * dilations[0] : last_row : strides[0], s * dilations[1] : last_column : strides[1]]
            for c in range(C):
                group = c // depth
                kernels = weights[group * (K // groups) : (group + 1) * (K // groups), c % depth, r, s]
                count += int(read[:, c].sum()) * int(np.count_nonzero(kernels))
    return count


def transposed_convolution(inputs, weights, out, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), groups=1):
    """Masks [N, C, H, W] and [C, K / groups, R, S]: every input meets every tap whose output is one of `out` [P, Q]."""
    count = 0
    for _, c, h, w in np.argwhere(inputs):
        for _, r, s in np.argwhere(weights[c]):
            row = h * strides[0] + r * dilations[0] - pads[0]
            column = w * strides[1] + s * dilations[1] - pads[1]
            count += 0 <= row < out[0] and 0 <= column < out[1]
    return count


def product(first, second):
    """Masks [..., M, D] and [..., D, K] of a matrix product."""
    first, second = np.broadcast_arrays(np.asarray(first)[..., None], np.asarray(second)[..., None, :, :])
    return int(np.count_nonzero(first * second))


def recurrent(inputs, states_before, weights, recurrence):
    """Masks [T, N, C] and [T, N, K] of what each step reads, [gates x K, C] and [gates x K, K]."""
    of_inputs = [np.count_nonzero(step) for step in np.asarray(weights).T]
    of_states = [np.count_nonzero(step) for step in np.asarray(recurrence).T]
    read = np.count_nonzero(inputs, axis=(0, 1)), np.count_nonzero(states_before, axis=(0, 1))
    return int(np.dot(read[0], of_inputs) + np.dot(read[1], of_states))
