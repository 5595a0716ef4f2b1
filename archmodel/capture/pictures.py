"""Pictures as an input of a network: decoded by pillow, brought to the rows, columns and channels that it takes."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archmodel.capture.input_parts import Array, Part, check_bytes, exactly
from archmodel.capture.preprocess import Numbers, Preprocess
from archmodel.errors import WorkloadError, one_line
from archmodel.exchange.onnx_inputs import ModelInput

FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "bmp": "BMP", "gif": "GIF", "webp": "WEBP"}
FORMATS |= {"tif": "TIFF", "tiff": "TIFF"}
BILINEAR = 2  # PIL.Image.Resampling.BILINEAR, with antialiasing: the filter of torchvision's Resize
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# What pillow and its decoders raise over a file that is not what it seems.
UNREADABLE = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, SyntaxError, RuntimeError),
    *(EOFError, MemoryError, AssertionError, struct.error, zlib.error),
)


@dataclass(frozen=True)
class PictureReader:
    """How a picture becomes the tensor of an input; `axes` are letters of its dims, f all of a picture in one axis."""

    given: ModelInput
    preprocess: Preprocess
    axes: str
    channels: int
    sides: tuple[int | None, int | None]  # rows and columns; None: those of the picture

    @classmethod
    def of(cls, given: ModelInput, preprocess: Preprocess) -> "PictureReader":
        """For one input; WorkloadError if a picture does not fit it."""
        if given.dtype.kind not in "fiu" or given.dtype == np.int8:
            raise given.refuse("a picture has numbers from 0 to 255")
        if given.dtype.kind != "f" and preprocess.given & {"mean", "std", "scale", "preset"}:
            raise given.refuse("takes bytes as they are; no mean, std, scale or preset")
        axes = _axes(given, preprocess)
        dims = dict(zip(axes, given.dims or (), strict=True))
        sides = _sides(given, dims, preprocess)
        if axes == "nf":
            channels = _channels_of_row(given, dims["f"], preprocess)
        else:
            channels = _channels(given, dims.get("c", 1), preprocess)
        for key, numbers in (("mean", preprocess.mean), ("std", preprocess.std)):
            if len(numbers) not in (1, channels):
                raise given.refuse(f"--preprocess {key}: {len(numbers)} numbers for {channels} channels")
        return cls(given, preprocess, axes, channels, sides)

    def part(self, path: Path) -> Part:
        """One image; decoded when it is asked for."""
        return Part(one_line(path.name), 1, "n" not in self.axes, lambda index: self.load(path))

    def load(self, path: Path) -> Array:
        """The picture in the layout and type of the input, without the axis of the batch."""
        image = _decoded(path, MODES[self.channels])
        rows, columns = self.sides[0] or image.height, self.sides[1] or image.width
        check_bytes(self.given, rows * columns * self.channels)
        try:
            pixels = self._resized(image, rows, columns)
        except UNREADABLE as error:
            raise _refusal(path, error) from None
        if self.preprocess.channels == "bgr":
            pixels = pixels[:, :, ::-1]
        values = self._values(pixels)
        if self.axes == "nf":
            return values.transpose(2, 0, 1).reshape(-1)
        letters = self.axes.replace("n", "")
        if "c" not in letters:
            return values[:, :, 0]
        return np.ascontiguousarray(values.transpose(["hwc".index(letter) for letter in letters]))

    def _resized(self, image: Any, rows: int, columns: int) -> Array:
        """Pixels uint8 [rows, columns, channels], inverted where they should be; what a pad adds is 0."""
        kind = self.preprocess.resize
        height, width = rows, columns
        if kind == "crop":
            height, width = _covering(image, rows, columns, self.preprocess.shorter)
        elif kind == "pad":
            scale = min(rows / image.height, columns / image.width)
            height, width = max(1, round(image.height * scale)), max(1, round(image.width * scale))
        if (width, height) != image.size:
            image = image.resize((width, height), resample=BILINEAR)
        top, left = round((height - rows) / 2), round((width - columns) / 2)  # as torchvision's CenterCrop
        if kind == "crop":
            image = image.crop((left, top, left + columns, top + rows))
        pixels = np.asarray(image).reshape(image.height, image.width, self.channels)
        if self.preprocess.invert:
            pixels = pixels.copy()
            pixels[:, :, :3] = 255 - pixels[:, :, :3]
        if kind == "pad":
            around = [(-top, rows - height + top), (-left, columns - width + left), (0, 0)]
            pixels = np.pad(pixels, around)
        return pixels

    def _values(self, pixels: Array) -> Array:
        """Pixels as the network gets them: (scale x pixel - mean) / std of floats, bytes otherwise."""
        if self.given.dtype.kind != "f":
            return pixels.astype(self.given.dtype)
        scale = 1 / 255 if self.preprocess.scale is None else self.preprocess.scale
        scaled = np.arange(256)[:, None] * scale
        table = (scaled - self._each(self.preprocess.mean)) / self._each(self.preprocess.std)
        if (rounded := exactly(table, self.given.dtype)) is None:
            raise self.given.refuse("--preprocess scale, mean and std make numbers beyond its type")
        return rounded[pixels, np.arange(self.channels)]

    def _each(self, numbers: Numbers) -> Array:
        return np.broadcast_to(np.array(numbers), (self.channels,))


def _axes(given: ModelInput, preprocess: Preprocess) -> str:
    """Letters of the dims: by `layout`, or by where 1 or 3 channels stand."""
    dims = given.dims or ()
    if len(dims) == 2 and preprocess.layout is None:
        return "nf"
    if len(dims) not in (3, 4):
        raise given.refuse("a picture needs 2, 3 or 4 dims; give an npy file")
    front, back = ("nchw", "nhwc") if len(dims) == 4 else ("chw", "hwc")
    if preprocess.layout is not None:
        return front if preprocess.layout == "nchw" else back
    at_front, at_back = (dims[axes.index("c")] in (1, 3) for axes in (front, back))
    if at_front != at_back:
        return front if at_front else back
    if len(dims) == 3 and not at_front:
        return "nhw"
    raise given.refuse("where are its channels? say --preprocess layout=nchw or layout=nhwc")


def _channels(given: ModelInput, dim: int | str, preprocess: Preprocess) -> int:
    if isinstance(dim, str):
        return 1 if preprocess.channels == "gray" else 3
    if dim not in MODES:
        raise given.refuse(f"a picture has 1, 3 or 4 channels, not {dim}; give an npy file")
    if preprocess.channels is not None and dim != (1 if preprocess.channels == "gray" else 3):
        raise given.refuse(f"--preprocess channels={preprocess.channels}: the input has {dim}")
    return dim


def _channels_of_row(given: ModelInput, words: int | str, preprocess: Preprocess) -> int:
    """Channels of a picture that is given as one row of words, channel after channel."""
    if preprocess.size is None or isinstance(words, str):
        raise given.refuse("a picture as one row: say its --preprocess size=ROWSxCOLUMNS")
    rows, columns = preprocess.size
    if words not in [rows * columns * channels for channels in MODES]:
        raise given.refuse(f"{rows}x{columns} pixels of 1, 3 or 4 channels are not {words} words")
    return _channels(given, words // (rows * columns), preprocess)


def _sides(given: ModelInput, dims: dict[str, int | str], preprocess: Preprocess) -> tuple[int | None, int | None]:
    """Rows and columns that the input has, or `size` where it leaves them free."""
    sides: list[int | None] = []
    for letter, size in zip("hw", preprocess.size or (None, None), strict=True):
        dim = dims.get(letter, letter)  # a row of words has neither
        if isinstance(dim, int) and size not in (None, dim):
            side = {"h": "rows", "w": "columns"}[letter]
            raise given.refuse(f"--preprocess size: {size} {side}; the input has {dim}")
        sides.append(dim if isinstance(dim, int) else size)
    return sides[0], sides[1]


def _covering(image: Any, rows: int, columns: int, shorter: int | None) -> tuple[int, int]:
    """Height and width before a crop: the shorter side as asked for, or as small as covers the crop."""
    height, width = image.height, image.width
    if shorter is None and rows * width >= columns * height:
        height, width = rows, rows * width // height
    elif shorter is None:
        height, width = columns * height // width, columns
    elif height <= width:
        height, width = shorter, shorter * width // height
    else:
        height, width = shorter * height // width, shorter
    if height < rows or width < columns:
        raise WorkloadError(f"{height}x{width} pixels before the crop to {rows}x{columns}: shorter must be more")
    if height * width > 2**28:
        raise WorkloadError(f"{height}x{width} pixels before the crop; at most 2^28")
    return height, width


def _decoded(path: Path, mode: str) -> Any:
    """The first frame of a picture of 8 bits a channel, in the channels of `mode`."""
    try:
        from PIL import Image
    except ImportError:
        raise WorkloadError("needs pillow: pip install 'archmodel[onnx]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=sorted(set(FORMATS.values()))) as image:
                if image.mode[0] in "IF":
                    raise WorkloadError(f"pixels of type {image.mode}; allowed: 8 bits a channel, or an npy file")
                return image.convert(mode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise WorkloadError(f"{one_line(path.name)}: more than {Image.MAX_IMAGE_PIXELS} pixels") from None
    except UNREADABLE as error:
        raise _refusal(path, error) from None


def _refusal(path: Path, error: BaseException) -> WorkloadError:
    if isinstance(error, WorkloadError):
        return WorkloadError(f"{one_line(path.name)}: {error}")
    reason = getattr(error, "strerror", None) or "not a picture, or a damaged one"
    return WorkloadError(f"{one_line(path.name)}: {one_line(reason)}")
