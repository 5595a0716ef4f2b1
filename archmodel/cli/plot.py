"""`archmodel plot`: a result file as a picture, or as a trace."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archmodel.cli.common import console, json_option, print_json, print_wrapped
from archmodel.errors import ResultError, one_line

if TYPE_CHECKING:
    from archmodel.accelerators.run_result import RunResult
    from archmodel.training.training_run import TrainingResult

TRACE_SUFFIX = ".json"


@click.command("plot")
@click.argument("file", metavar="FILE.h5")
@click.option(
    "-o",
    "--output",
    metavar="FILE.png|.svg|.pdf|.json",
    help="What to write; the name of the result file with .png if not said.",
)
@json_option
def plot(file: str, output: str | None, *, as_json: bool) -> None:
    """Draw a result file.

    Of `train`: what computes and what moves as a Gantt chart above the device's memory, a panel for each run; as .json
    a trace that ui.perfetto.dev opens. Of `sim`: where the multiplier-slots of every layer went.

    \b
    archmodel plot train.h5 -o timeline.svg
    archmodel plot train.h5 -o trace.json
    archmodel plot sim.h5
    """
    from archmodel import results

    found = results.load(file)
    target = Path(file).with_suffix(".png") if output is None else Path(output)
    caption = trace(found, file, target) if target.suffix == TRACE_SUFFIX else picture(found, target)
    if as_json:
        print_json({"file": file, "output": str(target), "caption": caption})
    else:
        print_wrapped(console(), f"{one_line(str(target))}: {caption}")


def trace(result: "RunResult | TrainingResult", file: str, target: Path) -> str:
    """Write a trace; what it shows."""
    from archmodel.training.training_run import TrainingResult
    from archmodel.views.trace import save_trace

    if not isinstance(result, TrainingResult):
        raise ResultError(f"{one_line(file)}: is of sim, a trace is of train; allowed: .png, .svg or .pdf")
    save_trace(result, target)
    return "a trace for ui.perfetto.dev: a process for each run, a thread for each stream, memory as a counter."


def picture(result: "RunResult | TrainingResult", target: Path) -> str:
    """Draw a figure; what it shows."""
    from archmodel.training.training_run import TrainingResult
    from archmodel.views.figure import check_figure, save_figure
    from archmodel.views.gantt import Gantt
    from archmodel.views.stacks import LayerStacks

    check_figure(target)
    drawing = Gantt(result) if isinstance(result, TrainingResult) else LayerStacks(result)
    save_figure(drawing, target)
    return drawing.caption
