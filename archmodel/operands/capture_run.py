"""One run of an ONNX network on real inputs, of which its layers' operands are kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from archmodel.network.onnx_file import one_line_errors, open_model
from archmodel.network.onnx_inputs import model_inputs
from archmodel.network.onnx_made import left_to_run
from archmodel.network.onnx_operands import capture_points
from archmodel.network.onnx_reader import read_model
from archmodel.operands.capture import Capture
from archmodel.operands.input_files import read_inputs
from archmodel.operands.onnx_limits import RunLimits
from archmodel.operands.onnx_run import run_model


@contextmanager
def captured(
    path: Path,
    source: str,
    inputs: Sequence[str],
    preprocess: Sequence[str] = (),
    limit: str | None = None,
    skip: bool = False,
    with_outputs: bool = False,
) -> Iterator[Capture]:
    """Run the network in `path` on `inputs`, an image at a time; the activations are on disk until the end.

    source : how messages call the file
    inputs, preprocess, limit : as `--input`, `--preprocess` and `--input-limit` have them
    skip : leave out what cannot be read
    with_outputs : keep what layers make too, for `--check`
    """
    limits = RunLimits() if limit is None else RunLimits.parse(limit)
    with one_line_errors(source):
        model = open_model(path)
        signature = model_inputs(path, model)
        wanted = [*capture_points(model, with_outputs), *left_to_run(model, path.parent)]
    feeds = read_inputs(inputs, preprocess, signature)
    with run_model(path, feeds, wanted, limits) as run:
        network, builder = read_model(path, source, skip, run, model)
        yield Capture(network, builder, run, feeds.description)
