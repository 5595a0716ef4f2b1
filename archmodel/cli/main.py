"""The group of verbs and its error handling; a verb's module is imported when the verb is called."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, TextIO

import click

import archmodel
from archmodel.errors import ArchmodelError, did_you_mean, one_line, show


class Verb(NamedTuple):
    """Where a verb lives, and what ``archmodel --help`` says of it."""

    module: str
    command: str
    summary: str


VERBS = {
    "sim": Verb("archmodel.cli.sim", "sim", "Run a network on a machine: cycles, stalls, traffic per layer."),
    "inspect": Verb("archmodel.cli.inspect", "inspect", "What a network is made of: densities, MACs left, bytes."),
    "list": Verb("archmodel.cli.listing", "list_names", "Names of machines, networks, memories, nodes and zeros."),
    "show": Verb("archmodel.cli.show", "show", "Describe a machine, a network or a result file."),
    "export": Verb("archmodel.cli.export", "export", "Write a network for SCALE-Sim or Sparseloop, or as TOML."),
    "prune": Verb("archmodel.cli.prune", "prune", "Write a network with fewer weights, and say what it cost."),
    "quantize": Verb("archmodel.cli.quantize", "quantize", "Write a network with weights of few bits."),
    "memory-trace": Verb("archmodel.cli.memory_trace", "memory_trace", "Send a trace of requests to a memory."),
    "train": Verb("archmodel.cli.train", "train", "The memory that one training iteration of a network takes."),
    "compare": Verb("archmodel.cli.compare", "compare", "Compare result files layer by layer."),
    "plot": Verb("archmodel.cli.plot", "plot", "Draw a result file: stacks of layers, or a timeline."),
    "validate": Verb("archmodel.cli.validate", "validate", "Set published tables beside the model's values."),
}

# Which extra installs a module that the package itself does without.
EXTRAS = {"matplotlib": "plot", "pandas": "plot", "optuna": "explore", "dask": "explore", "distributed": "explore"}

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
EXIT_UNREAD = 141  # 128 + SIGPIPE, in the same way


class UnreadError(Exception):
    """The reader of the output has closed it, as `head` does when it has enough."""


class LazyGroup(click.Group):
    """A group whose help and whose unknown verbs import no verb."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = getattr(import_module(verb.module), verb.command)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            raise click.UsageError(
                f"{show(args[0])}: unknown verb; allowed: {', '.join(VERBS)}{did_you_mean(args[0], VERBS)}"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def invoke(self, ctx: click.Context) -> object:
        # click would answer these two itself: a blank line for the first, exit code 1 for the second.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except BrokenPipeError:
            raise UnreadError from None


@click.group(cls=LazyGroup, invoke_without_command=True, subcommand_metavar="VERB ...")
@click.version_option(archmodel.__version__, prog_name="archmodel", message="%(prog)s %(version)s")
@click.pass_context
def group(context: click.Context) -> None:
    """Where time, energy and memory go in a deep-learning machine that skips zeros."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what a user can get wrong becomes one line on stderr.

    A verb that ends normally may return its exit code; None means 0.
    """
    for stream in _open_streams():  # an ASCII locale or a file name that is no text is not worth a traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = group.main(arguments, prog_name="archmodel", standalone_mode=False)
        for stream in _open_streams():
            stream.flush()
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except (UnreadError, BrokenPipeError):
        return _end_unread()
    except click.ClickException as error:
        return _fail(_click_message(error))
    except ArchmodelError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_os_message(error))
    except MemoryError:
        return _fail("not enough memory")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        return _fail(f"{missing} is not installed; install it with: pip install 'archmodel[{EXTRAS[missing]}]'")
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int = EXIT_ERROR) -> int:
    # On a terminal the echo of Ctrl-C has left the cursor after "^C".
    start = "\n" if code == EXIT_INTERRUPTED and os.isatty(2) else ""
    with contextlib.suppress(OSError):  # nobody left to tell
        click.echo(f"{start}archmodel: error: {one_line(message)}", err=True)
    for stream in _open_streams():
        _drop_unwritten(stream)
    return code


def _end_unread() -> int:
    """End in silence: a reader that has enough is no error."""
    for stream in _open_streams():
        _drop_unwritten(stream)
    return EXIT_UNREAD


def _open_streams() -> list[TextIO]:
    """Standard output and error, less those that the caller has closed: Python then sets them to None."""
    return [stream for stream in (sys.stdout, sys.stderr) if stream]


def _drop_unwritten(stream: TextIO) -> None:
    """Keep the interpreter from failing a second time, at its exit, on output that cannot be written."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _click_message(error: click.ClickException) -> str:
    message = error.format_message()
    message = message[:1].lower() + message[1:].removesuffix(".")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        message += f" (see '{error.ctx.command_path} --help')"
    return message


def _os_message(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
