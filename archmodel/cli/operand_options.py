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
        click.option("--input", "inputs", multiple=True, metavar="FILE",
                     help="Run an ONNX network on a picture, npy, npz or wav file and take its activations; repeatable,"
                     " or a folder: a batch. NAME=FILE or NAME=NUMBER where it has several inputs."),
        click.option("--preprocess", multiple=True, metavar="KEY=VALUE",
                     help="What is done with --input before, for instance 'preset=imagenet', 'mean=0.5'; repeatable."),
        click.option("--input-limit", metavar="LIMITS",
                     help="Bounds of that run; 'seconds=120,memory_gib=8,disk_gib=64' by default."),
        click.option("--skip-unsupported", is_flag=True,
                     help="Leave out layers that a machine does not run, and what of an ONNX file cannot be read."),
    )  # fmt: skip

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
