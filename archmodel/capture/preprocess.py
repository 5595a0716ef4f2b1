"""`--preprocess KEY=VALUE`: what is done to pictures and sounds before a network gets them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archmodel.errors import WorkloadError, did_you_mean, one_line, show

Numbers = tuple[float, ...]
# Mean and standard deviation of ImageNet's red, green and blue in 0..1: torchvision/transforms/_presets.py,
# ImageClassification; the same in every model card of torchvision.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAX_SIDE = 2**16


@dataclass(frozen=True)
class Preprocess:
    """The keys as they were given; None is what the input of the network asks for."""

    size: tuple[int, int] | None = None  # rows, columns
    resize: str = "stretch"
    shorter: int | None = None  # pixels of the shorter side before a crop
    scale: float | None = None
    mean: Numbers = (0.0,)  # one of all channels, or one each in the order in which the network gets them
    std: Numbers = (1.0,)
    channels: str | None = None
    layout: str | None = None
    invert: bool = False
    rate: int | None = None  # samples a second
    preset: str | None = None
    given: frozenset[str] = frozenset()  # the keys

    @classmethod
    def parse(cls, texts: Sequence[str]) -> "Preprocess":
        """Read every `key=value`, several in a text between commas; WorkloadError naming what is allowed."""
        values: dict[str, Any] = {}
        for part in (part for text in texts for part in text.split(",")):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if key not in READERS:
                hint = did_you_mean(key, READERS) or f"; allowed: {', '.join(READERS)}"
                raise WorkloadError(f"--preprocess {one_line(part, 60)}: no key {show(key)}{hint}")
            if key in values:
                raise WorkloadError(f"--preprocess {key}: stands twice")
            read, allowed = READERS[key]
            values[key] = read(value) if equals else None
            if values[key] is None:
                raise WorkloadError(f"--preprocess {one_line(part, 60)}: {key} is {allowed}")
        return cls(**values, given=frozenset(values))._with_preset()

    def _with_preset(self) -> "Preprocess":
        if self.shorter is not None and self.resize != "crop":
            raise WorkloadError("--preprocess shorter: goes with resize=crop")
        if self.preset is None:
            return self
        for key in ("mean", "std"):
            if key in self.given:
                raise WorkloadError(f"--preprocess {key}: preset={self.preset} says it already")
        step = -1 if self.channels == "bgr" else 1
        return replace(self, mean=IMAGENET_MEAN[::step], std=IMAGENET_STD[::step])

    def refuse_unused(self, kinds: set[str]) -> None:
        """Refuse keys for kinds of files that are not among `kinds`."""
        for key in sorted(self.given):
            kind = "sound" if key == "rate" else "picture"
            if kind not in kinds:
                raise WorkloadError(f"--preprocess {key}: is for {kind}s, and no --input is one")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _fraction(text: str) -> float | None:
    """A number or a quotient of two, which is not 0."""
    above, slash, below = text.partition("/")
    numbers = [_number(above), _number(below) if slash else 1.0]
    return numbers[0] / numbers[1] if numbers[0] and numbers[1] else None


def _numbers(text: str) -> Numbers | None:
    numbers = tuple(number for part in text.split("/") if (number := _number(part)) is not None)
    return numbers if len(numbers) in (1, 3, 4) and len(numbers) == text.count("/") + 1 else None


def _positive(text: str) -> Numbers | None:
    numbers = _numbers(text)
    return numbers if numbers and min(numbers) > 0 else None


def _whole(largest: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        plain = text.isascii() and text.isdigit() and len(text) <= 12
        return int(text) if plain and 1 <= int(text) <= largest else None

    return read


def _sides(text: str) -> tuple[int, int] | None:
    rows, cross, columns = text.partition("x")
    sides = [_whole(MAX_SIDE)(rows), _whole(MAX_SIDE)(columns if cross else rows)]
    return (sides[0], sides[1]) if sides[0] and sides[1] else None


def _one_of(*names: str) -> tuple[Callable[[str], str | None], str]:
    return (lambda text: text if text in names else None), f"one of {', '.join(names)}"


READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "size": (_sides, f"ROWSxCOLUMNS or one number for both, from 1 to {MAX_SIDE}"),
    "resize": _one_of("stretch", "crop", "pad"),
    "shorter": (_whole(MAX_SIDE), f"the pixels of the shorter side before the crop, from 1 to {MAX_SIDE}"),
    "scale": (_fraction, "a number or a fraction such as 1/255, not 0"),
    "mean": (_numbers, "a number, or one a channel such as 0.485/0.456/0.406"),
    "std": (_positive, "a number above 0, or one a channel such as 0.229/0.224/0.225"),
    "preset": _one_of("imagenet"),
    "channels": _one_of("rgb", "bgr", "gray"),
    "layout": _one_of("nchw", "nhwc"),
    "invert": ((lambda text: {"true": True, "false": False}.get(text)), "true or false"),
    "rate": (_whole(10**7), "samples a second, a whole number"),
}
