"""Result files: runs as HDF5 and back (docs/results.md). A file loads as it was saved or not at all."""

import h5py

from archmodel.accelerators.run_result import RunResult, versions
from archmodel.config.targets import PathLike
from archmodel.errors import ResultError, show
from archmodel.results.result_file import SUFFIXES, check_writable, read_file, write_file
from archmodel.results.run_file import read_run, write_run
from archmodel.results.training_file import KIND as TRAINING
from archmodel.results.training_file import read_training, write_training
from archmodel.training.training_run import TrainingResult, TrainingRun

__all__ = ["SUFFIXES", "check_writable", "load", "save"]


def save(result: RunResult | TrainingRun | TrainingResult, path: PathLike) -> None:
    """Write `result` to `path` (.h5, .hdf5); what is there is replaced when all of the new file is on the disk.

    ResultError if it cannot be written: the old file is as it was, and there is no other.
    """
    if isinstance(result, TrainingRun):
        result = TrainingResult((result,), provenance=versions())
    if isinstance(result, TrainingResult):
        write_file(path, lambda group: write_training(group, result))
    else:
        write_file(path, lambda group: write_run(group, result))


def load(path: PathLike) -> RunResult | TrainingResult:
    """What was saved to `path`: a run of `sim`, or the runs of `train`.

    ResultError if it is not a whole result file of a schema known here.
    """
    return read_file(path, _read)


def _read(group: h5py.Group) -> RunResult | TrainingResult:
    kind = group.attrs.get("kind")  # a run of sim has none
    if kind is None:
        return read_run(group)
    if kind != TRAINING:
        raise ResultError(f"kind = {show(kind)}: must be {TRAINING}, or none for a run of sim")
    return read_training(group)
