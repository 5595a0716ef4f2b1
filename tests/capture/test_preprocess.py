"""`--preprocess`: every key is read as its documentation says, and nothing else is."""

import pytest

from archmodel.capture.preprocess import MAX_SIDE, Preprocess
from tests.capture.input_signatures import refusal


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("size=2x3", "size", (2, 3)),
        ("size=7", "size", (7, 7)),
        (f"size={MAX_SIDE}x1", "size", (MAX_SIDE, 1)),
        ("resize=pad", "resize", "pad"),
        ("scale=2", "scale", 2.0),
        ("scale=1/255", "scale", 1 / 255),
        ("scale=-2.5e-1/0.5", "scale", -0.5),
        ("mean=0.5", "mean", (0.5,)),
        ("mean=-1/0/1", "mean", (-1.0, 0.0, 1.0)),
        ("mean=1/2/3/4", "mean", (1.0, 2.0, 3.0, 4.0)),
        ("std=1/2/3", "std", (1.0, 2.0, 3.0)),
        ("channels=bgr", "channels", "bgr"),
        ("layout=nhwc", "layout", "nhwc"),
        ("invert=true", "invert", True),
        ("invert=false", "invert", False),
        ("rate=16000", "rate", 16000),
        (" rate = 1 ", "rate", 1),
    ],
)
def test_a_key_is_read(text, key, value):
    assert getattr(Preprocess.parse([text]), key) == value
    assert Preprocess.parse([text]).given == {key}


def test_keys_come_between_commas_or_one_after_the_other():
    together = Preprocess.parse(["mean=1,std=2", "resize=crop,shorter=3"])
    assert together == Preprocess.parse(["mean=1", "std=2", "resize=crop", "shorter=3"])
    assert (together.mean, together.std, together.resize, together.shorter) == ((1.0,), (2.0,), "crop", 3)


def test_nothing_is_done_without_a_key():
    assert Preprocess.parse([]) == Preprocess()


def test_the_preset_is_torchvisions_in_the_order_of_the_channels():
    rgb, bgr = Preprocess.parse(["preset=imagenet"]), Preprocess.parse(["preset=imagenet,channels=bgr"])
    assert rgb.mean == (0.485, 0.456, 0.406) == bgr.mean[::-1]
    assert rgb.std == (0.229, 0.224, 0.225) == bgr.std[::-1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("meen=1", "--preprocess meen=1: no key 'meen'; did you mean 'mean'?"),
        ("qqqq", "no key 'qqqq'; allowed: size, resize, shorter, scale, mean, std, preset, channels, layout, invert, "),
        ("", "no key ''"),
        ("mean", "--preprocess mean: mean is a number, or one a channel such as 0.485/0.456/0.406"),
        ("mean=", "mean is a number"),
        ("mean=1/2", "mean is a number"),
        ("mean=1//2", "mean is a number"),
        ("mean=1/2/3/4/5", "mean is a number"),
        ("mean=nan", "mean is a number"),
        ("mean=inf", "mean is a number"),
        ("std=0", "std is a number above 0"),
        ("std=1/-1/1", "std is a number above 0"),
        ("scale=0", "scale is a number or a fraction such as 1/255, not 0"),
        ("scale=1/0", "not 0"),
        ("scale=1/2/3", "not 0"),
        ("size=0x1", f"size is ROWSxCOLUMNS or one number for both, from 1 to {MAX_SIDE}"),
        (f"size=1x{MAX_SIDE + 1}", "size is ROWSxCOLUMNS"),
        ("size=1x", "size is ROWSxCOLUMNS"),
        ("size=1x2x3", "size is ROWSxCOLUMNS"),
        ("size=²", "size is ROWSxCOLUMNS"),
        (f"size={'9' * 5000}", "size is ROWSxCOLUMNS"),
        ("resize=fit", "resize is one of stretch, crop, pad"),
        ("channels=cmyk", "channels is one of rgb, bgr, gray"),
        ("layout=chw", "layout is one of nchw, nhwc"),
        ("preset=coco", "preset is one of imagenet"),
        ("invert=yes", "invert is true or false"),
        ("rate=0", "rate is samples a second, a whole number"),
        ("mean=1,mean=2", "--preprocess mean: stands twice"),
        ("preset=imagenet,std=1", "--preprocess std: preset=imagenet says it already"),
        ("preset=imagenet,mean=1", "--preprocess mean: preset=imagenet says it already"),
        ("shorter=3", "--preprocess shorter: goes with resize=crop"),
    ],
)
def test_what_is_not_allowed_is_said(text, line):
    assert line in refusal(Preprocess.parse, [text])
