"""The options of every verb that makes operands: which layers, how many images, where the zeros come from."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def operand_options(of_layers: str = "") -> Callable[[Command], Command]:
    """Add them to a command; `of_layers` is what its help says of --layers besides."""
    options = (
        click.option("--batch", default=1, show_default=True, metavar="N", help="Images; totals cover all of them."),
        click.option("--seed", default=0, show_default=True, metavar="S", help="Placement of the zeros."),
        click.option("--layers", metavar="GLOBS", help=f"Only these, for instance 'conv3_*,conv4_*'.{of_layers}"),
        click.option("--weights", default="network", show_default=True, metavar="SOURCE",
                     help="network, density=0.3, or FILE.npz or FILE.safetensors with '<layer>.weights'."),
        click.option("--activations", default="network", show_default=True, metavar="SOURCE",
                     help="network, density=0.4, or FILE.npz or FILE.safetensors with '<layer>.inputs'."),
        click.option("--zeros", default="uniform", show_default=True, metavar="PATTERN",
                     help="uniform; correlated, as measured; 'correlated:length=3,channel_spread=0.3'; FILE.toml."),
        *input_options("Run an ONNX network on a picture, npy, npz or wav file and take its activations"),
        click.option("--skip-unsupported", is_flag=True,
                     help="Leave out layers that a machine does not run, and what of an ONNX file cannot be read."),
    )  # fmt: skip

    return with_options(*options)


def input_options(purpose: str) -> tuple[Callable[[Command], Command], ...]:
    """--input, for a `purpose`, and what goes with it."""
    return (
        click.option("--input", "inputs", multiple=True, metavar="FILE",
                     help=f"{purpose}; repeatable,"
                     " or a folder: a batch. NAME=FILE or NAME=NUMBER where it has several inputs."),
        click.option("--preprocess", multiple=True, metavar="KEY=VALUE",
                     help="What is done with --input before, for instance 'preset=imagenet', 'mean=0.5'; repeatable."),
        click.option("--input-limit", metavar="LIMITS",
                     help="Bounds of that run; 'seconds=120,memory_gib=8,disk_gib=64' by default."),
    )  # fmt: skip


def changing_options(what: str) -> Callable[[Command], Command]:
    """The options of the verbs that change weights; `what` they do to them."""
    options = (
        click.option("-o", "--output", required=True, metavar="FILE.onnx|.npz",
                     help="An ONNX file for an ONNX network, or an npz file with '<layer>.weights'."),
        click.option("--layers", metavar="GLOBS", help=f"Only these are {what}, for instance 'fc*'; others stay."),
        click.option("--weights", metavar="FILE.npz|.safetensors",
                     help="With '<layer>.weights', for a network that is no ONNX file."),
        *input_options("What an ONNX network is run on before and after, a picture, npy, npz or wav file"),
        click.option("--seed", default=0, show_default=True, metavar="S", help="Of the noise without --input."),
    )  # fmt: skip
    return with_options(*options)


def with_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """All of them added to a command, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
