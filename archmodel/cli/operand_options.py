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
                     help="network, density=0.3, or FILE.npz with '<layer>.weights'."),
        click.option("--activations", default="network", show_default=True, metavar="SOURCE",
                     help="network, density=0.4, or FILE.npz with '<layer>.inputs'."),
        click.option("--zeros", default="uniform", show_default=True, metavar="PATTERN",
                     help="uniform; correlated, as measured; 'correlated:length=3,channel_spread=0.3'; FILE.toml."),
    )  # fmt: skip

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add
