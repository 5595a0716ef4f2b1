"""What a compressing DMA engine makes of a feature map whose density is known, by chance or with gathered zeros."""

from collections.abc import Sequence

import numpy as np

from archmodel.encodings.dma_sizes import FLOATS, expected_share, mask_bytes, rectified, zlib_bytes
from archmodel.encodings.dma_sizes import in_layout as laid_out
from archmodel.network.layer import Shape
from archmodel.operands.correlated import CorrelatedZeros, correlated_inputs
from archmodel.operands.operands import Mask
from archmodel.training.dma_config import DmaConfig

SAMPLED_WORDS = 2**16  # of a map with gathered zeros
SAMPLED_WINDOWS = {"rle": 256, "zlib": 32}  # of them, evenly spread; zlib is slow
FEWEST_CHANNELS = 16
FEWEST_IMAGES = 16  # where those of a position lie next to each other


def share_of_map(
    shape: Shape,
    batch: int,
    densities: Sequence[float],
    engine: DmaConfig,
    word_bytes: int,
    zeros: CorrelatedZeros | None,
    seed: int,
) -> float:
    """Bytes sent for a byte of a map of ``batch`` images of ``shape``, the mean over ``densities``.

    Where zeros gather, a map of the mean density is drawn; zero-value compression sees no difference.
    """
    if zeros is None or engine.codec == "zvc":
        shares = [expected_share(one, engine.codec, word_bytes, engine.window_bytes) for one in densities]
        return float(np.mean(shares))
    return drawn_share(shape, batch, float(np.mean(densities)), engine, word_bytes, zeros, seed)


def drawn_share(
    shape: Shape,
    batch: int,
    density: float,
    engine: DmaConfig,
    word_bytes: int,
    zeros: CorrelatedZeros,
    seed: int,
) -> float:
    """Bytes sent for a byte of some windows of a map whose zeros gather."""
    rng = np.random.default_rng(seed)
    sample = sample_shape(shape, batch, engine)
    mask = correlated_inputs(rng, zeros, sample, round(density * np.prod(sample)))
    words = engine.window_bytes // word_bytes
    flat = some_windows(laid_out(mask, engine.layout), words, SAMPLED_WINDOWS[engine.codec])
    if engine.codec == "zlib":
        values = flat * rectified(rng, flat.size, density)
        sent = zlib_bytes(values.astype(FLOATS[word_bytes]), engine.window_bytes)
    else:
        sent = mask_bytes(flat, engine.codec, word_bytes, engine.window_bytes)
    return sent / (flat.size * word_bytes)


def sample_shape(shape: Shape, batch: int, engine: DmaConfig) -> tuple[int, int, int, int]:
    """Images, channels, rows and columns that are drawn: whole planes, and all of what lies next to each other."""
    C, H, W = shape
    if engine.layout == "CHWN":
        N = min(batch, FEWEST_IMAGES)
        return N, min(C, max(FEWEST_CHANNELS, SAMPLED_WORDS // (N * H * W))), H, W
    if engine.layout == "NHWC":
        return min(batch, max(1, SAMPLED_WORDS // (C * H * W))), C, H, W
    channels = min(C, max(FEWEST_CHANNELS, SAMPLED_WORDS // (H * W)))
    return min(batch, max(1, SAMPLED_WORDS // (channels * H * W))), channels, H, W


def some_windows(mask: Mask, words: int, most: int) -> Mask:
    """At most so many windows of a flat mask, evenly spread; all of a mask with fewer."""
    num_windows = mask.size // words
    if num_windows <= most:
        return mask
    picked = np.arange(most) * num_windows // most
    return np.ascontiguousarray(mask[: num_windows * words].reshape(-1, words)[picked]).reshape(-1)
