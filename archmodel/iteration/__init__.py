"""`archmodel train`: iterations of networks on devices with limited memory, behind a link."""

import time
from collections.abc import Callable

from archmodel.accelerators.run_result import versions
from archmodel.iteration.memory import IterationMemory, iteration_memory
from archmodel.iteration.request import DEFAULT_SYSTEM, Batches, Names, Request, request_of
from archmodel.iteration.runner import Runner
from archmodel.training import STUDY, CaffeForm
from archmodel.training.choices import Optimizer, Precision
from archmodel.training.training_run import TrainingResult, TrainingRun

__all__ = ["IterationMemory", "iteration_memory", "request_of", "train", "train_all"]

# Called with what a run is, after each: its title, 1, and how many there are.
Progress = Callable[[str, int, int], None]


def train(
    net: Names,
    batch: Batches | None = None,
    *,
    system: Names = DEFAULT_SYSTEM,
    policy: Names = "none",
    algorithms: Names | None = None,
    dma: Names = "plain",
    link: Names | None = None,
    device: Names | None = None,
    memory: str | None = None,
    capacity_bytes: int | None = None,
    precision: Precision = "fp32",
    optimizer: Optimizer = STUDY.optimizer,
    in_place: bool = True,
    accounting: str | None = None,
    caffe_form: CaffeForm = "benchmark",
    fit: bool = False,
    progress: Progress | None = None,
) -> TrainingRun | TrainingResult:
    """One training iteration of a network under a policy; of every combination where several are named.

    What takes several is a list or has commas; the answer is then a `TrainingResult` with a run for each combination,
    else one `TrainingRun`. An iteration that does not fit is a run that says so, no error.

    Parameters
    ----------
    net : a name of `archmodel list networks`, or the path of a file
    batch : images of an iteration
    system : of `archmodel list systems`, or a TOML file: device, memory and link
    device, link : in the place of those of the system
    memory : behind a machine of `sim`, of `archmodel list memory`
    policy : none, vdnn_conv, vdnn_all, vdnn_dyn and others (docs/virtualization.md); 'all' for every one
    algorithms : 'performance', the fastest, or 'memory', those without workspace; the system's when None. vdnn_dyn
        decides on them
    dma : 'plain', or an engine that compresses, of `archmodel list dma`
    capacity_bytes : of the device, in the place of its own
    precision, optimizer, in_place : as in `TrainingChoices`; sgd without further words, as the vDNN study counts
    accounting : 'caffe' counts what Caffe does, too, of a prototxt of the form `caffe_form`
    fit : find the largest batch that fits, in the place of `batch`

    Raises ConfigError or WorkloadError with one line that says what is wrong and what is allowed.
    """
    asked = request_of(
        net,
        batch,
        system=system,
        policy=policy,
        algorithms=algorithms,
        dma=dma,
        link=link,
        device=device,
        memory=memory,
        capacity_bytes=capacity_bytes,
        precision=precision,
        optimizer=optimizer,
        in_place=in_place,
        accounting=accounting,
        caffe_form=caffe_form,
        fit=fit,
    )
    found = train_all(asked, progress)
    return found if asked.is_list else found.runs[0]


def train_all(asked: Request, progress: Progress | None = None, command: str = "") -> TrainingResult:
    """The runs of all combinations, in the order in which they were asked for."""
    start, runs = time.perf_counter(), []
    for run in Runner(asked).runs():
        runs.append(run)
        if progress is not None:
            progress(run.title, 1, asked.num_runs)
    return TrainingResult(tuple(runs), command, provenance=versions(), wall_s=time.perf_counter() - start)
