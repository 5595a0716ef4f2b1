"""What the verbs share: one JSON object on stdout, the console of tables, what fits it, the progress bar."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 120  # columns of a terminal that has room for every column and wide gaps
UNBROKEN = "\xa0"  # a space at which a line is not wrapped
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

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with 1; `run` ends every verb in the same way

    return PlainConsole(stderr=stderr, markup=False, highlight=False, emoji=False)


def gap(out: "Console") -> int:
    """Spaces between the columns of a table."""
    return 2 if out.width >= WIDE else 1


def num_fitting(out: "Console", headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many columns, from the left, have room with whole cells; two at least."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    count = len(widths)
    while count > 2 and sum(widths[:count]) + gap(out) * (count - 1) > out.width:
        count -= 1
    return count


def left_out_line(headings: Sequence[str]) -> str:
    """The last line of a table that a narrow terminal has in part."""
    return f"no room for {', '.join(headings)}: a wider terminal has them, and --json"


def print_wrapped(out: "Console", line: str, indent: str = "") -> None:
    """Print a line in as many as it takes; a word is never broken, a number not parted from the word behind it."""
    bound = re.sub(r"(?<=\d) (?=\S)", UNBROKEN, line)
    for part in wrap(bound, out.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False):
        out.print(part.replace(UNBROKEN, " "), soft_wrap=True)


@contextmanager
def progress_bar(
    quiet: bool, beginning: str = "compiling kernels"
) -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar with the time left on a terminal's stderr, None where nobody watches; `beginning` is before all layers."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(beginning, total=None)

        def advance(layer: str, macs: int, all_macs: int) -> None:
            bar.update(task, description=layer, total=all_macs, advance=macs)

        yield advance
