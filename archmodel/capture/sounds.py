"""wav files as an input of a network: cut into the windows that it takes, each read when it is asked for."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archmodel.capture.input_parts import Array, Part, check_bytes, exactly
from archmodel.capture.preprocess import Preprocess
from archmodel.errors import WorkloadError, one_line
from archmodel.exchange.onnx_inputs import ModelInput

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # wFormatTag of the WAVE format
BITS = {PCM: (8, 16, 24, 32), IEEE_FLOAT: (32, 64)}
MAX_CHUNKS = 1000
MAX_CHANNELS = 256


@dataclass(frozen=True)
class Wave:
    """Where the samples of a wav file are and what they are."""

    path: Path
    rate_hz: int
    channels: int
    tag: int
    bits: int
    offset: int
    num_samples: int  # of each channel

    @classmethod
    def of(cls, path: Path) -> "Wave":
        """Read the chunks in front of the samples; WorkloadError if they do not fit the file."""
        try:
            return cls._read(path)
        except WorkloadError as error:
            raise WorkloadError(f"{one_line(path.name)}: {error}") from None
        except (OSError, struct.error) as error:
            reason = getattr(error, "strerror", None) or "a damaged wav file"
            raise WorkloadError(f"{one_line(path.name)}: {one_line(reason)}") from None

    @classmethod
    def _read(cls, path: Path) -> "Wave":
        size_bytes, kind = path.stat().st_size, None
        with path.open("rb") as file:
            start = file.read(12)
            if start[:4] != b"RIFF" or start[8:] != b"WAVE":
                raise WorkloadError("not a wav file")
            for _ in range(MAX_CHUNKS):
                name, num_bytes = struct.unpack("<4sI", file.read(8))
                offset = file.tell()
                if offset + num_bytes > size_bytes:
                    raise WorkloadError(f"a chunk of {num_bytes} bytes, {size_bytes - offset} are there")
                if name == b"fmt ":
                    kind = file.read(min(num_bytes, 40))
                elif name == b"data" and kind is not None:
                    return cls(path, *_format(kind, num_bytes, offset))
                file.seek(offset + num_bytes + num_bytes % 2)
        raise WorkloadError(f"no samples in {MAX_CHUNKS} chunks")

    def samples(self, start: int, stop: int) -> Array:
        """Samples from `start` to before `stop`, float64 [channels, samples], integers scaled to [-1, 1)."""
        frame_bytes = self.channels * self.bits // 8
        with self.path.open("rb") as file:
            file.seek(self.offset + start * frame_bytes)
            data = file.read((stop - start) * frame_bytes)
        if len(data) != (stop - start) * frame_bytes:
            raise WorkloadError(f"{one_line(self.path.name)}: has become shorter")
        if self.tag == IEEE_FLOAT:
            values = np.frombuffer(data, f"<f{self.bits // 8}").astype(np.float64)
            if not np.isfinite(values).all():
                raise WorkloadError(f"{one_line(self.path.name)}: NaN or infinity; allowed: finite samples")
        elif self.bits == 8:  # the only one without a sign
            values = (np.frombuffer(data, np.uint8) - 128.0) / 128
        else:
            values = _signed(data, self.bits) / 2**31
        return values.reshape(-1, self.channels).T


def _format(kind: bytes, num_bytes: int, offset: int) -> tuple[int, int, int, int, int, int]:
    """Rate, channels, tag, bits, offset and samples that the chunk `fmt ` and the size of `data` say."""
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack("<HHIIHH", kind[:16])
    if tag == EXTENSIBLE:
        tag = struct.unpack("<H", kind[24:26])[0]
    if bits not in BITS.get(tag, ()):
        raise WorkloadError(f"format {tag} of {bits} bits; allowed: PCM of 8, 16, 24 or 32 bits, floats of 32 or 64")
    if not 1 <= channels <= MAX_CHANNELS or frame_bytes != channels * bits // 8:
        raise WorkloadError(f"{channels} channels of {bits} bits in {frame_bytes} bytes")
    if num_bytes == 0 or num_bytes % frame_bytes:
        raise WorkloadError(f"{num_bytes} bytes of samples of {frame_bytes} bytes")
    return rate_hz, channels, tag, bits, offset, num_bytes // frame_bytes


def _signed(data: bytes, bits: int) -> Array:
    """Samples of 16, 24 or 32 bits in the upper bits of int32."""
    raw = np.frombuffer(data, np.uint8).reshape(-1, bits // 8)
    wide = np.zeros((raw.shape[0], 4), np.uint8)
    wide[:, 4 - bits // 8 :] = raw
    return wide.view("<i4")[:, 0]


@dataclass(frozen=True)
class SoundReader:
    """How a sound becomes the tensor of an input; `axes` are letters of its dims: n, c channels, t samples."""

    given: ModelInput
    preprocess: Preprocess
    axes: str

    @classmethod
    def of(cls, given: ModelInput, preprocess: Preprocess) -> "SoundReader":
        """For one input; WorkloadError if a sound does not fit it."""
        dims = given.dims or ()
        if given.dtype.kind != "f" or len(dims) not in (1, 2, 3):
            raise given.refuse("a sound needs floats, [samples], [batch, samples] or [batch, channels, samples]")
        last = len(dims) == 3 and dims[2] in (1, 2) and dims[1] not in (1, 2)
        return cls(given, preprocess, "ntc" if last else ("t", "nt", "nct")[len(dims) - 1])

    def part(self, path: Path) -> tuple[Part, str | None]:
        """The windows of a file, and a line about samples that are in none."""
        wave, name = Wave.of(path), one_line(path.name)
        rate_hz = self.preprocess.rate
        if rate_hz not in (None, wave.rate_hz):
            raise WorkloadError(f"{name}: {wave.rate_hz} samples a second, not {rate_hz}: archmodel does not resample")
        dims = dict(zip(self.axes, self.given.dims or (), strict=True))
        window = dims["t"] if isinstance(dims["t"], int) else wave.num_samples
        num, rest = divmod(wave.num_samples, window)
        if num == 0:
            raise self.given.refuse(f"{name}: {wave.num_samples} samples; the input takes {window}")
        channels = dims.get("c", 1)
        if channels not in (1, wave.channels) and isinstance(channels, int):
            raise self.given.refuse(f"{name}: {wave.channels} channels; allowed: {channels}")
        check_bytes(self.given, window * wave.channels)

        def load(index: int) -> Array:
            samples = wave.samples(index * window, (index + 1) * window)
            return self._arranged(samples.mean(axis=0, keepdims=True) if channels == 1 else samples)

        note = f"{name}: the last {rest} samples are no window of {window} and are left out" if rest else None
        return Part(name, num, "n" not in self.axes, load), note

    def _arranged(self, samples: Array) -> Array:
        """[channels, samples] in the order and type of the input."""
        if (values := exactly(samples, self.given.dtype)) is None:
            raise self.given.refuse("samples beyond its type")
        if "c" not in self.axes:
            return values[0]
        return np.ascontiguousarray(values.T) if self.axes == "ntc" else values
