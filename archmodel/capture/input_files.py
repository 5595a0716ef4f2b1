"""`--input`: pictures, sounds and arrays as what a network is given, one run at a time."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from archmodel.capture.input_arrays import npy_part, npz_part
from archmodel.capture.input_parts import Array, Part, Supply, check_bytes, exactly
from archmodel.capture.pictures import FORMATS, PictureReader
from archmodel.capture.preprocess import Preprocess
from archmodel.capture.sounds import SoundReader
from archmodel.errors import WorkloadError, did_you_mean, one_line, show
from archmodel.exchange.onnx_inputs import ModelInput
from archmodel.operands.archive import Archive

Feed = dict[str, Array]
KINDS = {**dict.fromkeys(FORMATS, "picture"), "wav": "sound", "npy": "array", "npz": "archive"}
MOST_SHOWN = 3
MAX_FILES = 100_000
NUMBER = r"[-+]?(\d{1,18}(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?"


def read_inputs(texts: Sequence[str], preprocess: Sequence[str], signature: Sequence[ModelInput]) -> "Feeds":
    """What the inputs `signature` of a network are given in each run; files are decoded when a run is asked for.

    `texts` are FILE, FOLDER, NAME=FILE, NAME=FOLDER, NAME=zeros or NAME=number. What has no name is for the main input:
    of the inputs without a name, the only one, or the first of floats with more than one word, or without floats the
    first with more than one word.
    """
    gathered = _Gathered(Preprocess.parse(preprocess), {one.name: one for one in signature})
    givens = [_Given.of(text, gathered.signature) for text in texts]
    named = {one.name for one in givens if one.name} | {key for one in givens if not one.name for key in _keys(one)}
    for given in givens:
        gathered.add(given, named & set(gathered.signature))
    gathered.preprocess.refuse_unused(gathered.kinds)
    return gathered.feeds([one.description for one in givens])


class Feeds(Sequence[Feed]):
    """What a network is given, run by run: an array for each of its inputs, made when it is asked for."""

    def __init__(self, supplies: dict[str, Supply], fills: dict[str, tuple[ModelInput, Array]]) -> None:
        """Count the runs; WorkloadError if the inputs have files for different numbers of them."""
        self._supplies, self._fills = supplies, fills
        runs = {name: supply.num_runs for name, supply in supplies.items() if supply.num_runs > 1}
        if len(set(runs.values())) > 1:
            text = ", ".join(f"{one_line(name, 60)} for {num}" for name, num in runs.items())
            raise WorkloadError(f"--input: files for different numbers of runs: {text}; allowed: the same, or one")
        self._num_runs = max(runs.values(), default=1)
        self.description = ""
        self.notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self._num_runs

    def __getitem__(self, index: Any) -> Any:
        """The arrays of one run by the input's name."""
        if isinstance(index, slice):
            return [self[run] for run in range(*index.indices(len(self)))]
        run = range(len(self))[index]
        feed = {name: supply.tensor(run if supply.num_runs > 1 else 0) for name, supply in self._supplies.items()}
        sizes: dict[str, int] = {}
        for name, array in feed.items():
            for dim, length in zip(self._supplies[name].given.dims or (), array.shape, strict=False):
                if isinstance(dim, str) and dim != "?":
                    sizes.setdefault(dim, length)
        return feed | {name: _filled(given, value, sizes) for name, (given, value) in self._fills.items()}


@dataclass(frozen=True)
class _Given:
    """One `--input`: files, or the number that fills a tensor; `name` is empty for the main input."""

    name: str
    files: tuple[Path, ...]
    number: int | float | None
    description: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, signature: dict[str, ModelInput]) -> "_Given":
        # A name may have an equals sign itself.
        name = max((name for name in signature if text.startswith(f"{name}=")), key=len, default="")
        value = text[len(name) + 1 :] if name else text
        label = f"{one_line(name, 60)}={one_line(value, 60)}"
        if name and value == "zeros":
            return cls(name, (), 0, label)
        if name and re.fullmatch(NUMBER, value):
            return cls(name, (), float(value) if set(value) & set(".eE") else int(value), label)
        path = Path(value)
        if not value or not os.path.exists(path):  # which takes any text, unlike Path.exists
            before, equals, _ = text.partition("=")
            if equals and not name:
                allowed = did_you_mean(before, signature) or f"; allowed: {', '.join(map(one_line, signature))}"
                raise WorkloadError(f"--input {show(text)}: no such file, and no input {show(before)}{allowed}")
            raise WorkloadError(f"--input {show(text)}: no such file")
        prefix = f"{one_line(name, 60)}=" if name else ""
        if path.is_dir():
            files, notes = _files_of(path)
            plural = "" if len(files) == 1 else "s"
            return cls(name, files, None, f"{prefix}{len(files)} file{plural} of {_folder_name(path)}", notes)
        if not path.is_file():
            raise WorkloadError(f"--input {show(text)}: is neither a file nor a folder")
        if _suffix(path) not in KINDS:
            raise WorkloadError(f"--input {show(text)}: allowed: {', '.join(KINDS)}")
        return cls(name, (path,), None, f"{prefix}{one_line(path.name)}")


@dataclass
class _Gathered:
    """What each input has been given so far."""

    preprocess: Preprocess
    signature: dict[str, ModelInput]
    parts: dict[str, list[Part]] = field(default_factory=dict)
    fills: dict[str, tuple[ModelInput, Array]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def add(self, given: _Given, named: set[str]) -> None:
        """Files or a number for the input that they name, or for the main one of those that are not `named`."""
        self.notes += given.notes
        if given.number is not None:
            one = self.signature[given.name]
            value = exactly(np.array(given.number), one.dtype)
            if value is None:
                raise one.refuse(f"--input {given.description}: not exact in {one.dtype}")
            if given.name in self.fills or given.name in self.parts:
                raise one.refuse("given twice by --input")
            self.fills[given.name] = (one, value)
            return
        for path in given.files:
            kind = KINDS[_suffix(path)]
            self.kinds.add(kind)
            if kind == "archive":
                self._add_archive(Archive(path), given.name, named)
            else:
                self._add_part(path, kind, self.signature[given.name] if given.name else self._main(path, named))

    def _add_part(self, path: Path, kind: str, one: ModelInput) -> None:
        if kind == "sound":
            part, note = SoundReader.of(one, self.preprocess).part(path)
            self.notes += [note] if note else []
        elif kind == "picture":
            part = PictureReader.of(one, self.preprocess).part(path)
        else:
            part = npy_part(path, one)
        self._append(one, part)

    def _add_archive(self, archive: Archive, name: str, named: set[str]) -> None:
        """The arrays of an npz: one for `name`, or each for the input of its key, or an only one for the main input."""
        keys = list(archive.keys)
        if name and len(keys) != 1 and name not in keys:
            raise WorkloadError(f"{archive.name}: no array {show(name)}{did_you_mean(name, keys)}")
        if name:
            one = self.signature[name]
            self._append(one, npz_part(archive, name if name in keys else keys[0], one))
            return
        if len(keys) == 1 and keys[0] not in self.signature:
            one = self._main(archive.path, named)
            self._append(one, npz_part(archive, keys[0], one))
            return
        for key in keys:
            if key not in self.signature:
                hint = did_you_mean(key, self.signature)
                raise WorkloadError(f"{archive.name}: the network has no input {show(key)}{hint}")
            self._append(self.signature[key], npz_part(archive, key, self.signature[key]))

    def _append(self, one: ModelInput, part: Part) -> None:
        if one.name in self.fills:
            raise one.refuse("given twice by --input")
        self.parts.setdefault(one.name, []).append(part)

    def _main(self, path: Path, named: set[str]) -> ModelInput:
        left = [one for name, one in self.signature.items() if name not in named]
        wide = [one for one in left if one.dims is None or set(one.dims) - {1}]
        floats = [one for one in wide if one.dtype.kind == "f"]
        found = left if len(left) == 1 else floats or wide
        if not found:
            inputs = ", ".join(one_line(name, 60) for name in self.signature) or "none"
            raise WorkloadError(f"{one_line(path.name)}: for which input? say NAME=FILE; inputs: {inputs}")
        return found[0]

    def feeds(self, descriptions: list[str]) -> Feeds:
        """All of it, if no input is without."""
        for name, one in self.signature.items():
            if name not in self.parts and name not in self.fills:
                forms = " or ".join(f"--input {one_line(name, 60)}={what}" for what in ("FILE", "zeros", "NUMBER"))
                raise one.refuse(f"nothing is given; say {forms}")
        supplies = {name: Supply(self.signature[name], parts) for name, parts in self.parts.items()}
        feeds = Feeds(supplies, self.fills)
        more = f" and {len(descriptions) - MOST_SHOWN} more" if len(descriptions) > MOST_SHOWN else ""
        feeds.description = ", ".join(descriptions[:MOST_SHOWN]) + more
        feeds.notes = tuple(self.notes)
        return feeds


def _filled(given: ModelInput, value: Array, sizes: dict[str, int]) -> Array:
    """A tensor of one number; `sizes` are those that the arrays of the run give to symbols."""
    if given.dims is None:
        raise given.refuse("a number needs a shape; give an npy file")
    dims = []
    for place, dim in enumerate(given.dims):
        size = sizes.get(dim, 1 if place == given.batch_axis else None) if isinstance(dim, str) else dim
        if size is None:
            raise given.refuse(f"nothing says how long {show(dim)} is; give an npy file")
        dims.append(size)
    check_bytes(given, int(np.prod(dims, dtype=object)))
    return np.full(dims, value)


def _suffix(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _keys(given: _Given) -> list[str]:
    """Keys of the archives among the files."""
    return [key for path in given.files if _suffix(path) == "npz" for key in Archive(path).keys]


def _folder_name(folder: Path) -> str:
    return f"{one_line(folder.resolve().name)}/"


def _files_of(folder: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Files of known types by name, and a line about the others; hidden ones do not count."""
    try:
        there = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise WorkloadError(f"{_folder_name(folder)}: {error.strerror}") from None
    files = tuple(path for path in there if _suffix(path) in KINDS)
    if not 1 <= len(files) <= MAX_FILES:
        raise WorkloadError(f"{_folder_name(folder)}: {len(files)} files of {', '.join(KINDS)}; 1 to {MAX_FILES}")
    others = len(there) - len(files)
    note = f"{_folder_name(folder)}: {others} files of other types are left out"
    return files, (note,) if others else ()
