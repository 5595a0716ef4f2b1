"""Shared weights: non-zeros become indices of a code book made by k-means (Deep Compression, Han et al., ICLR 2016)."""

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, show
from archmodel.weights.magnitude import Weights, finite_range, layer_text
from archmodel.weights.quantization import Quantized

MOST_BITS = 8  # of an index in that paper
MOST_ROUNDS = 30_000  # bounds the time: 2,000 weights rest after tens of rounds, 16 M in 256 clusters after 27,000
# Fixed point, so that sums are exact in any order: 2^37 for the largest weight leaves room for 2^26 of them.
MAGNITUDE_BITS, COUNT_BITS = 37, 26


def share_weights(weights: Weights, bits: int) -> Quantized:
    """At most 2^bits - 1 values for all non-zeros of a layer; zeros stay zero and have the code 0.

    k-means from centroids at equal distances between the smallest and the largest non-zero (sec. 3.2: linear
    initialization, which keeps the few large weights). A centroid that no weight is nearest to stays where it is; a
    weight in the middle between two belongs to the lower one. Code 0 is also that of the zeros that a zero-run code
    stores, as in the decoder released with that paper.
    """
    if bits not in range(1, MOST_BITS + 1):
        raise WorkloadError(f"{layer_text('')}indices of {show(bits)} bits; allowed: 1 to {MOST_BITS}")
    finite_range(weights)
    cells = weights.reshape(-1)
    places = np.flatnonzero(cells)
    nonzeros = cells[places].astype(np.float64 if weights.dtype.kind in "iu" else weights.dtype, copy=False)
    centroids = clustered(np.sort(nonzeros), 2**bits - 1)
    codes = np.zeros(cells.size, np.int32)
    codes[places] = np.searchsorted(_limits(centroids, nonzeros.dtype), nonzeros, side="left") + 1
    codebook = np.concatenate(([0.0], centroids)).astype(np.float32)
    return Quantized(codes.reshape(weights.shape), bits, np.array(1.0), np.array(0), codebook)


def clustered(ordered: Weights, num_centroids: int) -> npt.NDArray[np.float64]:
    """Centroids [num_centroids] of Lloyd's k-means on sorted floats, from equal distances.

    A cluster is a stretch of the sorted weights: its sum is the difference of two of their running sums, so that a
    round costs a search for each centroid and nothing for each weight.
    """
    if not ordered.size:
        return np.zeros(num_centroids)
    largest = max(-float(ordered[0]), float(ordered[-1]))
    spare_bits = max(int(ordered.size).bit_length() - COUNT_BITS, 0)
    step = np.ldexp(1.0, int(np.frexp(largest)[1]) - MAGNITUDE_BITS + spare_bits) or np.nextafter(0.0, 1.0)
    running_sums = np.zeros(ordered.size + 1, np.int64)
    np.cumsum(np.rint(ordered / step).astype(np.int64), out=running_sums[1:])
    centroids, previous = np.linspace(float(ordered[0]), float(ordered[-1]), num_centroids), None
    for _ in range(MOST_ROUNDS):
        inner = np.searchsorted(ordered, _limits(centroids, ordered.dtype), side="right")
        ends = np.concatenate(([0], inner, [ordered.size]))
        if previous is not None and np.array_equal(ends, previous):
            break
        previous, counts = ends, np.diff(ends)
        means = np.diff(running_sums[ends]) / np.maximum(counts, 1) * step
        centroids = np.where(counts > 0, means, centroids)
    return centroids


def _limits(centroids: npt.NDArray[np.float64], dtype: np.dtype[np.floating]) -> Weights:
    """The largest number of a type that is not nearer to the upper of two neighbours, [number of centroids - 1]."""
    middles = (centroids[:-1] + centroids[1:]) / 2
    limits = middles.astype(dtype)
    return np.where(limits > middles, np.nextafter(limits, dtype.type(-np.inf)), limits)
