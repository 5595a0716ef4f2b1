"""wav files as an input of a network: every width, cut into windows, and that whatever is wrong is one line."""

import os
import struct
import tracemalloc

import numpy as np
import pytest
from scipy.io import wavfile

from archmodel.capture.sounds import MAX_CHUNKS
from tests.capture.input_signatures import feeds_of, refusal, takes, tensors

RATE_HZ = 16000
FREE = takes(1, "samples")
SAMPLES = [-1.0, -0.5, 0.0, 0.25, 0.5]


def saved(folder, samples, dtype="int16", name="x.wav"):
    wavfile.write(folder / name, RATE_HZ, np.array(samples, dtype))
    return folder / name


def chunk(name, data, num_bytes=None):
    return name + struct.pack("<I", len(data) if num_bytes is None else num_bytes) + data + b"\0" * (len(data) % 2)


def fmt(tag=1, channels=1, bits=16, frame_bytes=None, more=b""):
    frame = channels * bits // 8 if frame_bytes is None else frame_bytes
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, RATE_HZ, RATE_HZ * frame, frame, bits) + more)


def written(folder, *chunks):
    body = b"WAVE" + b"".join(chunks)
    (folder / "x.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return folder / "x.wav"


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        ("uint8", [0, 64, 128, 160, 192]),
        ("int16", [-(2**15), -(2**14), 0, 2**13, 2**14]),
        ("int32", [-(2**31), -(2**30), 0, 2**29, 2**30]),
        ("float32", SAMPLES),
        ("float64", SAMPLES),
    ],
)
def test_samples_are_from_minus_one_to_one(tmp_path, dtype, stored):
    (found,) = tensors(saved(tmp_path, stored, dtype), FREE)
    assert found.dtype == np.float32
    assert found.tolist() == [SAMPLES]


def test_samples_of_24_bits(tmp_path):
    stored = [-(2**23), -(2**22), 0, 2**21, 2**22]
    data = b"".join(value.to_bytes(3, "little", signed=True) for value in stored)
    assert tensors(written(tmp_path, fmt(bits=24), chunk(b"data", data)), FREE)[0].tolist() == [SAMPLES]


def test_the_smallest_step_of_a_width_is_kept(tmp_path):
    given = takes(1, "samples", dtype="float64")
    assert tensors(saved(tmp_path, [1, -1], "int32"), given)[0].tolist() == [[2**-31, -(2**-31)]]
    assert tensors(saved(tmp_path, [1, -1], "int16"), given)[0].tolist() == [[2**-15, -(2**-15)]]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_random_samples_are_as_scipy_reads_them(tmp_path, dtype):
    rng = np.random.default_rng(0)
    stored = rng.uniform(-1, 1, (50, 3)) if dtype == "float32" else rng.integers(0, 256, (50, 3))
    path = saved(tmp_path, stored, dtype)
    scale = {"uint8": 2**7, "int16": 2**15, "int32": 2**31, "float32": 1}[dtype]
    expected = (wavfile.read(path)[1].astype(np.float64) - (128 if dtype == "uint8" else 0)) / scale
    (found,) = tensors(path, takes("n", 3, "samples", dtype="float64"))
    assert np.array_equal(found[0].T, expected)


def test_chunks_that_are_not_samples_are_passed_over(tmp_path):
    extensible = fmt(0xFFFE, more=struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + b"\0" * 14)
    path = written(tmp_path, chunk(b"LIST", b"odd"), extensible, chunk(b"fact", b"1234"), chunk(b"data", b"\0\x40"))
    assert tensors(path, FREE)[0].tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (("samples",), [0.25, 0.5]),
        (("n", "samples"), [[0.25, 0.5]]),
        ((1, 2), [[0.25, 0.5]]),
        (("n", 1, "samples"), [[[0.25, 0.5]]]),
        (("n", "channels", "samples"), [[[0.5, 0.25], [0.0, 0.75]]]),
        ((1, 2, "samples"), [[[0.5, 0.25], [0.0, 0.75]]]),
        (("n", "samples", 2), [[[0.5, 0.0], [0.25, 0.75]]]),
        (("n", "samples", 1), [[[0.25], [0.5]]]),
    ],
)
def test_two_channels_are_kept_or_averaged(tmp_path, dims, expected):
    path = saved(tmp_path, [[0.5, 0.0], [0.25, 0.75]], "float32")
    assert tensors(path, takes(*dims))[0].tolist() == expected


@pytest.mark.parametrize(("window", "runs", "rest"), [(2, [[0, 1], [2, 3]], 1), (5, [[0, 1, 2, 3, 4]], 0)])
def test_a_fixed_length_cuts_a_sound_into_windows(tmp_path, window, runs, rest):
    feeds = feeds_of(saved(tmp_path, range(5), "float32"), takes(1, window))
    assert [feed["x"].tolist() for feed in feeds] == [[run] for run in runs]
    line = f"x.wav: the last {rest} samples are no window of {window} and are left out"
    assert feeds.notes == ((line,) if rest else ())


def test_windows_fill_a_batch(tmp_path):
    path = saved(tmp_path, range(6), "float32")
    assert [found.tolist() for found in tensors(path, takes(3, 2))] == [[[0, 1], [2, 3], [4, 5]]]
    assert [found.tolist() for found in tensors(path, takes(3))] == [[0, 1, 2], [3, 4, 5]]
    assert "3 images; the network takes 2 at a time" in refusal(tensors, path, takes(2, 2))


def test_the_rate_that_is_asked_for(tmp_path):
    path = saved(tmp_path, [1])
    assert len(tensors(path, FREE, f"rate={RATE_HZ}")) == 1
    line = "x.wav: 16000 samples a second, not 8000: archmodel does not resample"
    assert refusal(tensors, path, FREE, "rate=8000") == line


@pytest.mark.parametrize(
    ("given", "preprocess", "line"),
    [
        (takes(1, 6), [], "input 'x' (float32, [1, 6]): x.wav: 5 samples; the input takes 6"),
        (takes(1, 3, "samples"), [], "x.wav: 1 channels; allowed: 3"),
        (takes(1, "samples", dtype="int16"), [], "a sound needs floats, [samples], [batch, samples] or"),
        (takes(1, 1, 1, "samples"), [], "a sound needs floats"),
        (takes(None), [], "a sound needs floats"),
        (FREE, ["mean=1"], "--preprocess mean: is for pictures, and no --input is one"),
    ],
)
def test_what_does_not_fit_the_input_is_said(tmp_path, given, preprocess, line):
    assert line in refusal(lambda: tensors(saved(tmp_path, range(5)), given, *preprocess))


def test_samples_beyond_the_type_are_refused(tmp_path):
    path = saved(tmp_path, [1e300, 0], "float64")
    assert "samples beyond its type" in refusal(tensors, path, FREE)
    path = saved(tmp_path, [np.nan], "float32")
    assert refusal(tensors, path, FREE) == "x.wav: NaN or infinity; allowed: finite samples"


DATA = chunk(b"data", b"\0" * 8)


@pytest.mark.parametrize(
    ("chunks", "line"),
    [
        ([fmt(), chunk(b"data", b"\0" * 8, 2**32 - 1)], "x.wav: a chunk of 4294967295 bytes, 8 are there"),
        ([fmt(), chunk(b"data", b"\0" * 8, 9)], "x.wav: a chunk of 9 bytes, 8 are there"),
        ([chunk(b"LIST", b"", 2**31), fmt(), DATA], "x.wav: a chunk of 2147483648 bytes"),
        ([fmt()], "x.wav: a damaged wav file"),
        ([DATA], "x.wav: a damaged wav file"),
        ([chunk(b"fmt ", b"\1\0\1\0"), DATA], "x.wav: a damaged wav file"),
        ([fmt(0xFFFE), DATA], "x.wav: a damaged wav file"),
        ([fmt(7, bits=8), DATA], "x.wav: format 7 of 8 bits; allowed: PCM of 8, 16, 24 or 32 bits, floats of 32 or 64"),
        ([fmt(bits=12), DATA], "x.wav: format 1 of 12 bits"),
        ([fmt(3, bits=16), DATA], "x.wav: format 3 of 16 bits"),
        ([fmt(channels=0), DATA], "x.wav: 0 channels of 16 bits in 0 bytes"),
        ([fmt(channels=257), DATA], "x.wav: 257 channels of 16 bits in 514 bytes"),
        ([fmt(frame_bytes=4), DATA], "x.wav: 1 channels of 16 bits in 4 bytes"),
        ([fmt(channels=3), DATA], "x.wav: 8 bytes of samples of 6 bytes"),
        ([fmt(), chunk(b"data", b"")], "x.wav: 0 bytes of samples of 2 bytes"),
        ([chunk(b"JUNK", b"")] * MAX_CHUNKS + [fmt(), DATA], f"x.wav: no samples in {MAX_CHUNKS} chunks"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, chunks, line):
    assert refusal(tensors, written(tmp_path, *chunks), FREE).startswith(line)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFX\0\0\0\0WAVE", b"RIFF\0\0\0\0AVI "])
def test_another_file_under_the_name_of_a_sound(tmp_path, data):
    (tmp_path / "x.wav").write_bytes(data)
    assert refusal(tensors, tmp_path / "x.wav", FREE) == "x.wav: not a wav file"


def test_a_long_sound_is_read_a_window_at_a_time(tmp_path):
    path = written(tmp_path, fmt(), chunk(b"data", b"", 2**30))
    os.truncate(path, 2**30 + 44)
    tracemalloc.start()
    feeds = feeds_of(path, takes(1, 1024))
    last = feeds[len(feeds) - 1]["x"]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(feeds), last.shape) == (2**19, (1, 1024))
    assert peak_bytes < 2**20
    assert "a run would take 2147483648 bytes; at most 1073741824" in refusal(tensors, path, FREE)


def test_a_file_that_becomes_shorter_is_noticed(tmp_path):
    path = saved(tmp_path, range(5))
    feeds = feeds_of(path, FREE)
    os.truncate(path, 46)
    assert refusal(lambda: feeds[0]) == "x.wav: has become shorter"
