"""`archmodel train`: one training iteration of a network, on a device with limited memory."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from archmodel.cli.common import console, json_option, print_json, progress_bar

if TYPE_CHECKING:
    from archmodel.training.training_run import TrainingResult


@click.command()
@click.option("--net", required=True, metavar="NAME", help="A name of `archmodel list networks`, or a file.")
@click.option("--batch", metavar="N", help="Images of an iteration.")
@click.option("--fit", is_flag=True, help="In the place of --batch: find the largest that fits.")
@click.option(
    "--system",
    default="titanx_pcie3",
    show_default=True,
    metavar="NAME",
    help="A name of `archmodel list systems`, or a TOML file: a device, its memory and its link.",
)
@click.option(
    "--policy",
    default="none",
    show_default=True,
    metavar="NAME",
    help="What leaves the memory: none, vdnn_conv, vdnn_all, vdnn_dyn, ideal_prefetch, recompute,"
    " vdnn_conv_recompute or checkpoint; all for every one.",
)
@click.option(
    "--algorithms",
    metavar="NAME",
    help="Of convolutions: performance, the fastest, or memory, those without workspace. The system's if not"
    " said; vdnn_dyn decides itself.",
)
@click.option(
    "--dma",
    default="plain",
    show_default=True,
    metavar="NAME",
    help="Engine that moves maps: plain, or one of `archmodel list dma` that compresses them.",
)
@click.option("--link", metavar="NAME", help="In the place of the system's: a name of `archmodel list links`.")
@click.option(
    "--device", metavar="NAME", help="In the place of the system's: a name of `archmodel list devices` or accelerators."
)
@click.option("--memory", metavar="NAME", help="Behind a device of accelerators: of `archmodel list memory`.")
@click.option("--capacity-bytes", type=int, metavar="N", help="Of the device, in the place of its own.")
@click.option("--precision", default="fp32", show_default=True, metavar="NAME", help="fp32, fp16 or mixed.")
@click.option(
    "--optimizer",
    default="sgd",
    show_default=True,
    metavar="NAME",
    help="What is kept for each weight: sgd nothing, momentum one word, adam two.",
)
@click.option("--in-place/--out-of-place", default=True, show_default=True, help="Whether activations overwrite.")
@click.option("--accounting", metavar="NAME", help="Count as a framework does, too: caffe.")
@click.option(
    "--caffe-form",
    default="benchmark",
    show_default=True,
    metavar="NAME",
    help="Prototxt that Caffe counts: benchmark, deploy or train.",
)
@click.option("-o", "--output", metavar="FILE.h5", help="Write the result. Nothing without it.")
@click.option("--trace", metavar="FILE.json", help="Write the timeline as a trace that ui.perfetto.dev opens.")
@json_option
def train(*, output: str | None, trace: str | None, as_json: bool, **asked: Any) -> None:
    """Run one training iteration of a network and show its memory, its time and what it waits for.

    Options whose value is a NAME, up to --device, and --batch take several with commas between them: a row for each
    combination.

    \b
    archmodel train --net vgg16 --batch 256 --policy vdnn_dyn
    archmodel train --net vgg16,resnet152 --batch 64,128 --policy all
    archmodel train --net vgg416 --fit --policy none,vdnn_dyn
    archmodel train --net vgg16 --batch 128 --policy vdnn_all --dma plain,cdma_zvc
    archmodel train --net vgg16 --batch 128 --policy vdnn_dyn --trace trace.json -o out.h5
    """
    from archmodel import results
    from archmodel.cli.training_tables import print_training
    from archmodel.iteration import request_of, train_all
    from archmodel.views.trace import check_trace, save_trace

    if output is not None:
        results.check_writable(output)
    if trace is not None:
        check_trace(trace)
    request = request_of(**asked)
    with progress_bar(quiet=as_json or request.num_runs == 1, beginning="first run") as advance:
        found = train_all(request, advance, command=typed())
    if output is not None:
        results.save(found, output)
    if trace is not None:
        save_trace(found, trace)
    if as_json:
        print_json(document(found, request.is_list))
    else:
        print_training(console(), found.runs)


def document(found: "TrainingResult", is_list: bool) -> dict[str, Any]:
    """The object of `--json`: that of a run, or all of them as `runs`."""
    return found.as_dict() if is_list else found.runs[0].as_dict()


def typed() -> str:
    """The command as it was typed."""
    return shlex.join(["archmodel", *click.get_current_context().obj])
