"""Files that a user asks for: checked before long work, written whole or not at all."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from archmodel.errors import ResultError, one_line

MAX_NAME_BYTES = 255
SHOWN_CHARACTERS = 200  # of a path
PathLike = str | os.PathLike[str]


def check_target(path: PathLike, suffixes: Sequence[str], what: str) -> None:
    """Raise ResultError unless `what`, a file of one of `suffixes`, can be expected to be written at `path`."""
    shown = one_line(os.fspath(path), SHOWN_CHARACTERS)
    target = os.path.realpath(os.fspath(path).replace("\0", "�"))
    folder, name = os.path.split(target)
    exists = os.path.lexists(target)
    rules = (
        (Path(path).suffix in suffixes, f"{what} ends in {' or '.join(suffixes)}"),
        (os.path.isdir(folder), f"there is no folder {one_line(folder, SHOWN_CHARACTERS)}"),
        (os.path.isfile(target) or not exists, "is a folder, or something else that is not a file"),
        (len(os.fsencode(name)) <= MAX_NAME_BYTES and "\0" not in os.fspath(path), "not a possible name of a file"),
        (os.access(folder, os.W_OK | os.X_OK), f"no permission to write in {one_line(folder, SHOWN_CHARACTERS)}"),
        (not exists or os.access(target, os.W_OK), "is write-protected"),
    )
    for holds, reason in rules:
        if not holds:
            raise ResultError(f"{shown}: cannot be written: {reason}")


def replace_file(target: str, image: bytes) -> None:
    """Put `image` where `target` is, at once, when all of it is on the disk; an error leaves what was there."""
    with replaced_file(target) as temporary, open(temporary, "xb") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replaced_file(target: PathLike) -> Iterator[str]:
    """A name beside `target` for what takes its place in the end, at once; an error leaves what was there."""
    # The name is new in every call, so that runs that write into one folder at once do not meet.
    target = os.path.realpath(target)
    temporary = os.path.join(os.path.dirname(target), f".archmodel-{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
