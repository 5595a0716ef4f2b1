"""What a compressing DMA engine makes of activations: bytes by codec, width of a word, layout and window."""

import zlib
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from archmodel.encodings.cell_encodings import Bitmask
from archmodel.encodings.codec import MOST_CELLS, AnyArray, Cells, Codec
from archmodel.encodings.entropy_codes import ZLIB_LEVEL
from archmodel.encodings.run_codes import Runs, expected_runs
from archmodel.errors import WorkloadError, did_you_mean, show
from archmodel.operands.operands import Mask

WindowCodec = Literal["zvc", "rle", "zlib"]
Layout = Literal["NCHW", "NHWC", "CHWN"]

WORD_BYTES = (4, 2)
FLOATS: dict[int, type[np.floating]] = {4: np.float32, 2: np.float16}
WINDOW_BYTES = 4096  # of the study of cDMA, recalled
MASK_WORDS = 32  # that a mask of zero-value compression is of
TABLE_STEPS = 32  # of densities: zlib's sizes are nearly straight between them
TABLE_WINDOWS = 32  # of random values, for each density
SMALLEST_DENSITY = 1e-9  # whose normal quantile is finite, as is that of one less it


def cdma_bytes(
    activations: AnyArray,
    codec: WindowCodec = "zvc",
    word_bytes: int = 4,
    layout: Layout = "NCHW",
    window_bytes: int = WINDOW_BYTES,
) -> int:
    """Bytes that a compressing DMA engine sends for activations.

    activations : [N, C, H, W], or of any shape in the order of memory. Floats are values, stored in `word_bytes`; whole
        numbers and booleans a mask, of which 0 stands for a word that is zero. zlib needs values
    layout : order in memory of an array of four dimensions
    """
    check_window(codec, word_bytes, window_bytes)
    array = in_layout(np.asarray(activations), layout)
    if array.dtype.kind not in "biuf":
        raise WorkloadError(f"activations of type {array.dtype}: must be floats, whole numbers or booleans")
    if array.size > MOST_CELLS:
        raise WorkloadError(f"{array.size} activations: must be at most {MOST_CELLS}")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(FLOATS[word_bytes], copy=False)
    elif codec == "zlib":
        raise WorkloadError(f"codec = zlib: needs values, floats; these are a mask of type {array.dtype}")
    if codec == "zlib":
        return zlib_bytes(array, window_bytes)
    return mask_bytes(nonzero_words(array), codec, word_bytes, window_bytes)


def cdma_ratio(
    activations: AnyArray,
    codec: WindowCodec = "zvc",
    word_bytes: int = 4,
    layout: Layout = "NCHW",
    window_bytes: int = WINDOW_BYTES,
) -> float:
    """Bytes of activations over those that `cdma_bytes` gives; 1 where there are none."""
    sent = cdma_bytes(activations, codec, word_bytes, layout, window_bytes)
    return np.asarray(activations).size * word_bytes / sent if sent else 1.0


def check_window(codec: str, word_bytes: int, window_bytes: int) -> None:
    """Raise WorkloadError for what the engine has not."""
    if codec not in get_args(WindowCodec):
        allowed = get_args(WindowCodec)
        raise WorkloadError(f"codec = {show(codec)}: must be {', '.join(allowed)}{did_you_mean(str(codec), allowed)}")
    if type(word_bytes) is not int or word_bytes not in WORD_BYTES:
        raise WorkloadError(f"word_bytes = {show(word_bytes)}: must be 4 or 2")
    if type(window_bytes) is not int or window_bytes < 1 or window_bytes % (MASK_WORDS * word_bytes):
        raise WorkloadError(f"window_bytes = {show(window_bytes)}: must be a multiple of {MASK_WORDS * word_bytes}")


def in_layout(activations: AnyArray, layout: Layout) -> AnyArray:
    """Activations [N, C, H, W] in the order of a layout, flat; an array of other dimensions as it is."""
    if layout not in get_args(Layout):
        raise WorkloadError(
            f"layout = {show(layout)}: must be NCHW, NHWC or CHWN{did_you_mean(str(layout), get_args(Layout))}"
        )
    if activations.ndim != len(layout):
        return activations.reshape(-1)
    return activations.transpose(["NCHW".index(letter) for letter in layout]).reshape(-1)


def nonzero_words(array: AnyArray) -> Mask:
    """1 where a word is not zero; minus zero is."""
    return (array != 0).view(np.uint8)


def codec_of(codec: WindowCodec, word_bytes: int, window_bytes: int) -> Codec:
    """The codec of a mask; windows do not change what zero-value compression takes, as they are of whole masks."""
    return Bitmask(MASK_WORDS) if codec == "zvc" else Runs(window_bytes // word_bytes)


def mask_bytes(mask: Mask, codec: WindowCodec, word_bytes: int, window_bytes: int = WINDOW_BYTES) -> int:
    """Bytes of a flat mask in the order of memory by zero-value compression or runs."""
    return sum(codec_of(codec, word_bytes, window_bytes).part_bytes(Cells(mask, 8 * word_bytes)).values())


def zlib_bytes(values: npt.NDArray[np.floating], window_bytes: int = WINDOW_BYTES) -> int:
    """Bytes of flat values, the lowest byte first, each window a zlib stream of its own."""
    stored = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    windows = (stored[start : start + window_bytes] for start in range(0, len(stored), window_bytes))
    return sum(len(zlib.compress(window, ZLIB_LEVEL)) for window in windows)


def expected_share(density: float, codec: WindowCodec, word_bytes: int, window_bytes: int = WINDOW_BYTES) -> float:
    """Bytes sent for a byte of activations that are non-zero independently of each other, in whole windows.

    zlib's values are those of a ReLU that reads normal variables: random ones, so that its share is an estimate.
    """
    check_window(codec, word_bytes, window_bytes)
    if not 0 <= density <= 1:
        raise WorkloadError(f"density = {show(density)}: must be from 0 to 1")
    words = window_bytes // word_bytes
    if codec == "zvc":
        return density + 1 / (8 * word_bytes)
    if codec == "rle":
        return density + expected_runs(density, words) / window_bytes
    shares = zlib_shares(word_bytes, window_bytes)
    return float(np.interp(density * TABLE_STEPS, np.arange(TABLE_STEPS + 1), shares))


@lru_cache(maxsize=8)
def zlib_shares(word_bytes: int, window_bytes: int) -> tuple[float, ...]:
    """Bytes that zlib makes of a byte, for densities of 0, 1/32, ... 1."""
    words = TABLE_WINDOWS * (window_bytes // word_bytes)
    shares = []
    for step in range(TABLE_STEPS + 1):
        rng, density = np.random.default_rng(step), step / TABLE_STEPS
        values = rectified(rng, words, density) * (rng.random(words) < density)
        shares.append(zlib_bytes(values.astype(FLOATS[word_bytes]), window_bytes) / (words * word_bytes))
    return tuple(shares)


def rectified(rng: np.random.Generator, num_words: int, density: float) -> npt.NDArray[np.float64]:
    """Values that a ReLU passes if a share of `density` of the normal variables that it reads is above 0.

    All of them are: where the zeros lie is another question.
    """
    from scipy.special import ndtri

    density = min(max(density, SMALLEST_DENSITY), 1 - SMALLEST_DENSITY)
    return ndtri(density) - ndtri(density * (1 - rng.random(num_words)))
