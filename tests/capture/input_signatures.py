"""Inputs of networks for tests of what they are given."""

import struct
import zlib

import numpy as np
import pytest

from archmodel.capture.input_files import read_inputs
from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_inputs import ModelInput


def takes(*dims, dtype="float32", name="x", **options):
    """An input of a network; no dims at all is None."""
    return ModelInput(name, None if dims == (None,) else dims, np.dtype(dtype), **options)


def feeds_of(path, given, *preprocess):
    return read_inputs([str(path)], preprocess, [given])


def tensors(path, given, *preprocess):
    """What the only input gets in each run."""
    return [feed[given.name] for feed in feeds_of(path, given, *preprocess)]


def refusal(act, *arguments):
    """The text of the WorkloadError, which is one line, that `act` ends in."""
    with pytest.raises(WorkloadError) as error:
        act(*arguments)
    text = str(error.value)
    assert text.isprintable()
    assert len(text) < 300
    return text


def png_header(width, height):
    """A png that says its size and has one row of pixels."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"\0" * 9)]
    framed = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)
