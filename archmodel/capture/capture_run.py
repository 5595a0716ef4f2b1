"""One run of an ONNX network on real inputs, of which its layers' operands are kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from archmodel.capture.input_files import Feeds, read_inputs
from archmodel.capture.onnx_limits import RunLimits
from archmodel.capture.onnx_run import run_model
from archmodel.exchange.onnx_file import import_onnx, one_line_errors, open_model
from archmodel.exchange.onnx_inputs import model_inputs
from archmodel.exchange.onnx_made import left_to_run
from archmodel.exchange.onnx_operands import capture_points
from archmodel.exchange.onnx_reader import read_model
from archmodel.operands.captured import Capture

MOST_NOTES = 2  # that a description has


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
    import_onnx()
    with one_line_errors(source):
        model = open_model(path)
    signature = model_inputs(path, model)
    with one_line_errors(source):
        wanted = [*capture_points(model, with_outputs), *left_to_run(model, path.parent)]
    feeds = read_inputs(inputs, preprocess, signature)
    with run_model(path, feeds, wanted, limits) as run:
        network, builder = read_model(path, source, skip, run, model)
        yield Capture(network, builder, run, description_of(feeds))


def description_of(feeds: Feeds) -> str:
    """The files, and what of them the network was not given."""
    more = len(feeds.notes) - MOST_NOTES
    return "; ".join([feeds.description, *feeds.notes[:MOST_NOTES], *([f"{more} such lines more"] if more > 0 else [])])
