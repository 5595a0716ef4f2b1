"""What became of a trace, as files of comma-separated values, written whole or not at all."""

import os
from collections.abc import Sequence

import numpy as np

from archmodel.config.targets import PathLike, check_target, replaced_file
from archmodel.errors import SHOWN_CHARACTERS, ResultError, one_line
from archmodel.memory.trace import Int64

CHUNK_ROWS = 2**18
SUFFIXES = (".csv",)


def check_table(path: PathLike, what: str, others: Sequence[PathLike | None]) -> None:
    """Raise ResultError unless `what` can be expected to be written at `path`, which is none of the `others`."""
    check_target(path, SUFFIXES, what)
    for other in others:
        if other is not None and os.path.realpath(other) == os.path.realpath(path):
            shown = one_line(os.fspath(path), 4 * SHOWN_CHARACTERS)
            raise ResultError(f"{shown}: cannot be written: {what} would replace another file of this run")


def write_table(path: PathLike, headings: Sequence[str], columns: Sequence[Int64], labels: Sequence[str] = ()) -> None:
    """Write a line a row; a column headed `command` holds indices of `labels`; a number below 0 is an empty field.

    columns : int64[n] each
    """
    from archmodel.kernels.trace_text import lines_of_rows

    label_column = list(headings).index("command") if labels else -1
    codes = np.zeros((len(labels), max(map(len, labels), default=0)), np.uint8)
    for code, label in zip(codes, labels, strict=True):
        code[: len(label)] = list(label.encode("ascii"))
    try:
        with replaced_file(path) as temporary, open(temporary, "xb") as file:
            file.write((",".join(headings) + "\n").encode("ascii"))
            for start in range(0, columns[0].size, CHUNK_ROWS):
                rows = np.stack([column[start : start + CHUNK_ROWS] for column in columns], axis=1)
                file.write(lines_of_rows(rows, label_column, codes))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ResultError(f"{one_line(os.fspath(path), 200)}: {error.strerror or error}") from None
