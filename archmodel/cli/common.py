"""What the verbs share: one JSON object on stdout, the console of tables."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


def print_json(document: Mapping[str, object]) -> None:
    """Print ``document`` as one JSON object; numpy scalars and arrays become numbers and lists.

    Infinities and NaN have no JSON spelling: they raise ValueError, for a result that holds one is a fault of ours.
    """
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=_plain))


def _plain(value: object) -> object:
    to_list = getattr(value, "tolist", None)
    if to_list is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return to_list()


def console(*, stderr: bool = False) -> "Console":
    """The console of tables and progress bars; it prints text as given, with no markup and no guessed colours."""
    from rich.console import Console  # 35 ms that --json and --help do not need

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)
