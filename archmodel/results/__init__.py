"""Result files: runs as HDF5 and back (docs/results.md). A file loads as it was saved or not at all."""

from archmodel.accelerators.run_result import RunResult
from archmodel.config.targets import PathLike
from archmodel.results.result_file import SUFFIXES, check_writable, read_file, write_file
from archmodel.results.run_file import read_run, write_run

__all__ = ["SUFFIXES", "check_writable", "load", "save"]


def save(run: RunResult, path: PathLike) -> None:
    """Write `run` to `path` (.h5, .hdf5); what is there is replaced at once, when all of the new file is on the disk.

    ResultError if it cannot be written: the old file is as it was, and there is no other.
    """
    write_file(path, lambda group: write_run(group, run))


def load(path: PathLike) -> RunResult:
    """The run that was saved to `path`; ResultError if it is not a whole result file of a schema known here."""
    return read_file(path, read_run)
