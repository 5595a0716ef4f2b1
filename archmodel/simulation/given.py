"""The network of a run, and where it is an ONNX file with `--input` what its layers really multiply."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from archmodel import config
from archmodel.errors import ConfigError, show
from archmodel.exchange import read_network
from archmodel.network import Network
from archmodel.operands.captured import Capture
from archmodel.operands.sources import Source

LIMIT_OPTION = "--input-limit"
INPUTS = "files, for instance ['photo.png'] or ['x=photo.png', 'rate=16000']"
PREPROCESS = "'key=value', for instance ['mean=0.5']"


@dataclass(frozen=True)
class Given:
    """A network and the activations of a real run of it, if there was one."""

    network: Network
    capture: Capture | None = None

    def batch(self, asked: int) -> int:
        """Images: those of the inputs, where there are some."""
        if self.capture is None:
            return asked
        if asked not in (1, self.capture.batch):
            raise ConfigError(f"--batch {asked}: --input gives {self.capture.batch} images")
        return self.capture.batch

    def activations(self, asked: str) -> Source:
        """Where activations come from: `asked` as in `--activations`, or the run."""
        if self.capture is None:
            return Source.parse(asked, "--activations")
        if asked != "network":
            raise ConfigError(f"--activations {show(asked)}: --input gives them already; allowed: one of the two")
        return Source(capture=self.capture)


def check_texts(parameter: str, value: object, items: str) -> None:
    """Raise ConfigError unless `value`, given to a function for `parameter`, is a list of texts: `items`."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(text, str) for text in value):
        raise ConfigError(f"{parameter} = {show(value)}: expected a list of {items}")


@contextmanager
def given_network(
    net: str,
    inputs: Sequence[str],
    preprocess: Sequence[str],
    input_limit: str | None,
    skip: bool,
    with_outputs: bool = False,
) -> Iterator[Given]:
    """Read a network, and run it on `inputs` if there are any; what the run keeps is removed in the end.

    skip : leave out what of an ONNX file cannot be read; an error otherwise
    with_outputs : keep what its layers make too
    """
    check_texts("inputs", inputs, INPUTS)
    check_texts("preprocess", preprocess, PREPROCESS)
    if not inputs:
        for option, value in (("--preprocess", preprocess), (LIMIT_OPTION, input_limit)):
            if value:
                raise ConfigError(f"{option}: needs --input")
        yield Given(read_network(net, skip=skip))
        return
    path, source = config.locate("workloads", net)
    if path.suffix != ".onnx":
        raise ConfigError(f"--input: needs an ONNX network; {show(net)} has no values to compute with")
    from archmodel.capture.capture_run import captured

    with captured(path, source, inputs, preprocess, input_limit, skip, with_outputs) as capture:
        yield Given(capture.network, capture)
