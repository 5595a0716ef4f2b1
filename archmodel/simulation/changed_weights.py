"""A network whose weights are changed layer by layer into a file, with a look at what that does to its outputs."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from archmodel import config
from archmodel.config.targets import PathLike, check_target, replaced_file
from archmodel.errors import ConfigError, ResultError, WorkloadError, one_line, show
from archmodel.exchange import read_network
from archmodel.exchange.onnx_narrow import FloatType
from archmodel.exchange.onnx_reader import Weights, read_model
from archmodel.exchange.onnx_writer import with_weights
from archmodel.network import Layer, Network
from archmodel.operands.source import Source
from archmodel.simulation.given import INPUTS, LIMIT_OPTION, PREPROCESS, check_texts
from archmodel.simulation.output_change import BeforeAndAfter, Effect
from archmodel.simulation.study import Progress, chosen_layers
from archmodel.weights.weight_files import FileWeights, write_npz

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Row = TypeVar("Row")


class Changed(NamedTuple, Generic[Row]):
    """A layer with other weights.

    values : in the shape and type of those of before
    stored : arrays for an npz file, by what stands behind the layer's name there
    row : what there is to say of it
    """

    values: Array
    stored: dict[str, Array]
    row: Row


Change = Callable[[Layer, Array], Changed[Row]]


@dataclass(frozen=True)
class Request:
    """What is asked for: a network by name or path, and files, as the parameters of `prune` say."""

    net: str
    output: PathLike
    layers: str | Sequence[str] | None
    weights: str | None
    inputs: Sequence[str]
    preprocess: Sequence[str]
    input_limit: str | None
    seed: int

    def check(self, is_onnx: bool) -> None:
        """Raise ConfigError or ResultError over what can be said before anything is read."""
        check_target(self.output, [".onnx", ".npz"] if is_onnx else [".npz"], "a network's weights: the file")
        check_texts("inputs", self.inputs, INPUTS)
        check_texts("preprocess", self.preprocess, PREPROCESS)
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(f"--seed {show(self.seed)}: must be a whole number, 0 or more")
        if self.inputs and not is_onnx:
            raise ConfigError(f"--input: needs an ONNX network; {show(self.net)} has no values to compute with")
        for option, value in (("--preprocess", self.preprocess), (LIMIT_OPTION, self.input_limit)):
            if value and not self.inputs:
                raise ConfigError(f"{option}: needs --input")
        if is_onnx and self.weights is not None:
            raise ConfigError("--weights: an ONNX network has its own")

    def archive_weights(self, network: Network) -> tuple[FileWeights, str]:
        """The weights in the file of --weights, and what was done to them before."""
        source = Source() if self.weights is None else Source.parse(self.weights, "--weights")
        if source.path is None:
            raise ConfigError(f"--weights: {show(self.net)} needs the weights of an npz or safetensors file")
        return FileWeights(network, source.archive), source.archive.note


@dataclass(frozen=True)
class Outcome(Generic[Row]):
    """What came out: of the chosen layers in order, of the outputs, and why nothing is known of these."""

    rows: tuple[Row, ...]
    effect: Effect | None
    reason: str


@dataclass
class ChangedLayers(Mapping[str, Array], Generic[Row]):
    """The chosen layers with other weights, each made when it is asked for; notes what there is to say of them."""

    layers: Mapping[str, Layer]
    before: Arrays
    change: Change[Row]
    progress: Progress | None
    rows: dict[str, Row] = field(default_factory=dict)

    def made(self, name: str) -> Changed[Row]:
        """A layer, which is gone when nobody uses it any more."""
        changed = self.change(self.layers[name], self.before[name])
        if name not in self.rows and self.progress is not None:
            layer = self.layers[name]
            self.progress(name, layer.weight_words, sum(one.weight_words for one in self.layers.values()))
        self.rows[name] = changed.row
        return changed

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """What an npz file has of all layers of the network; those that are not chosen stay as they are."""
        for name in self.before:
            stored = self.made(name).stored if name in self.layers else {"weights": self.before[name]}
            for key in list(stored):
                yield f"{name}.{key}", stored.pop(key)

    def __getitem__(self, name: str) -> Array:
        return self.made(name).values

    def __contains__(self, name: object) -> bool:
        return name in self.layers

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


class Chosen(Mapping[str, Array]):
    """Some of the layers of a network by name."""

    def __init__(self, weights: Arrays, names: Sequence[str]) -> None:
        self._weights, self._names = weights, dict.fromkeys(names)

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        return self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def change_weights(
    request: Request,
    note: str,
    change_of: Callable[[Arrays], Change[Row]],
    progress: Progress | None,
    floats: FloatType | None = None,
) -> Outcome[Row]:
    """Change the weights of the chosen layers and write the file; an error leaves what was there.

    change_of : from the chosen layers to how one of them is changed
    note : what is done, for the file
    floats : the type of weights in an ONNX file, the one that it has when None
    """
    path, source = config.locate("workloads", request.net)
    is_onnx = path.suffix == ".onnx"
    request.check(is_onnx)
    with ExitStack() as stack:
        runs = None
        if is_onnx:
            options = request.inputs, request.preprocess, request.input_limit, request.seed
            runs = stack.enter_context(closing(BeforeAndAfter(path, source, *options)))
            network, builder = read_model(path, source, True, runs.run)
            before: Arrays = Weights(builder, source)
            done_before = network.weights_note
        else:
            network = read_network(request.net)
            before, done_before = request.archive_weights(network)
        chosen, there = chosen_layers(network, request.net, request.layers), set(before)  # whose own `in` reads a layer
        layers = {layer.name: layer for layer in chosen if layer.name in there}
        if not layers:
            raise ConfigError(f"{show(request.net)}: none of the layers has weights")
        if len(layers) < len(before):
            note += f" in {len(layers)} of {len(before)} layers"
        changed = ChangedLayers(layers, before, change_of(Chosen(before, list(layers))), progress)
        effect, reason = _written(changed, path, runs, request.output, note, done_before, floats)
        return Outcome(tuple(changed.rows[name] for name in layers), effect, reason)


def _written(
    changed: ChangedLayers[Row],
    path: Path,
    runs: BeforeAndAfter | None,
    output: PathLike,
    note: str,
    done_before: str,
    floats: FloatType | None,
) -> tuple[Effect | None, str]:
    """Write the file; what it does to the outputs, and why nothing is known of them."""
    effect, reason = None, "the network has no values to compute with" if runs is None else runs.reason
    run = None if runs is None else runs.run
    try:
        with replaced_file(output) as temporary:
            if runs is not None and Path(output).suffix == ".onnx":
                with_weights(path, changed, Path(temporary), note, run, floats)
                return runs.effect(Path(temporary)), reason
            write_npz(temporary, changed.arrays(), f"{done_before}; {note}" if done_before else note)
            if runs is not None and run is not None:
                effect, reason = _effect_of_copy(changed, path, runs)
            return effect, reason
    except OSError as error:
        name = one_line(os.fspath(output))
        raise ResultError(f"{name}: cannot be written: {error.strerror or error}") from None


def _effect_of_copy(changed: ChangedLayers[Row], path: Path, runs: BeforeAndAfter) -> tuple[Effect | None, str]:
    """What a model with the weights would compute, where it can have them."""
    with TemporaryDirectory(prefix="archmodel-") as folder:
        copy = Path(folder) / "changed.onnx"
        try:
            with_weights(path, changed, copy, run=runs.run)
            return runs.effect(copy), ""
        except WorkloadError as error:
            return None, str(error)


def num_nonzeros(weights: Array) -> int:
    """Weights that are not zero."""
    return int(np.count_nonzero(weights))
