"""`archmodel memory-trace`: a trace of requests, of a file or made, on a memory."""

import os
from collections.abc import Sequence
from typing import Unpack

import numpy as np

from archmodel.config.targets import PathLike
from archmodel.errors import SHOWN_CHARACTERS, ConfigError, one_line, show
from archmodel.memory.patterns import Pattern, PatternOptions
from archmodel.memory.trace import MAX_REQUEST_BYTES, Trace, accesses_of
from archmodel.memory.trace_files import read_trace
from archmodel.memory.trace_result import TraceResult
from archmodel.memory.trace_tables import check_table, write_table
from archmodel.memory.trace_target import Target
from archmodel.simulation import MEMORY_PREFIX, split_assignments
from archmodel.simulation.given import check_texts

ASSIGNMENTS = "'memory.key=value', for instance ['memory.timing.tFAW=16']"


def trace_memory(
    memory: str,
    trace: PathLike | Trace | None = None,
    *,
    pattern: str | None = None,
    rate: float | None = None,
    seed: int = 0,
    assignments: Sequence[str] = (),
    completions: PathLike | None = None,
    commands: PathLike | None = None,
    **options: Unpack[PatternOptions],
) -> TraceResult:
    """Send a trace of requests to a memory: bandwidth, latency, commands, energy.

    Parameters
    ----------
    memory : a name of `archmodel list memory`, or the path of a TOML file
    trace : a file (docs/memory.md), or a `Trace.of(cycles, addresses, writes)`; a cycle is one of the memory's clock
    pattern : 'sequential', 'random', 'strided' or 'streams', in the place of `trace`
    rate : what is offered, as a share of the peak; all requests come at once where it is None
    seed : of 'random', and of where requests write
    assignments : 'memory.key=value'
    completions, commands : CSV files to be written, of the cycle of each request's last data and of every command
    options : of the pattern; `request_bytes` is one of traces too: by default a request is the access that it is in

    Raises ConfigError, WorkloadError or ResultError with one line; the files are then as they were.
    """
    target = target_of(memory, assignments)
    of_file = None if trace is None or isinstance(trace, Trace) else os.fspath(trace)
    if completions is not None:
        check_table(completions, "--completions", (of_file,))
    if commands is not None:
        check_table(commands, "--commands", (of_file, completions))
        if not target.has_commands:
            raise ConfigError(f"--commands: {show(memory)} has no banks that commands are sent to")
    if pattern is None:
        if trace is None:
            raise ConfigError("neither a trace nor a pattern is given; allowed: one of the two")
        check_no_options(options, rate)
        made, requested = None, trace if isinstance(trace, Trace) else read_trace(trace)
    else:
        if trace is not None:
            raise ConfigError(f"--pattern {show(pattern)}: a trace is given too; allowed: one of the two")
        made = Pattern.of(pattern, options, target.access_bytes, rate, seed)
        requested = made.trace(target.capacity_bytes, target.peak_bytes_per_cycle)
    name = of_file if made is None else None
    result = traced(target, memory, name, made, requested, options.get("request_bytes"), commands is not None)
    if completions is not None:
        write_table(completions, ("request", "cycle"), (np.arange(result.completed.size), result.completed))
    if commands is not None:
        write_commands(commands, result)
    return result


def target_of(memory: str, assignments: Sequence[str]) -> Target:
    """The memory with its changes; ConfigError about one of something else."""
    check_texts("assignments", assignments, ASSIGNMENTS)
    of_memory, others = split_assignments(assignments)
    if others:
        raise ConfigError(f"--set {one_line(others[0], SHOWN_CHARACTERS)}: allowed: {MEMORY_PREFIX}KEY=VALUE")
    return Target.of(memory, of_memory)


def check_no_options(options: PatternOptions, rate: float | None) -> None:
    """Raise ConfigError about an option of patterns; the size of requests is one of traces too."""
    given = [key for key, value in options.items() if value is not None and key != "request_bytes"]
    for key in [*given, *(["rate"] if rate is not None else [])]:
        raise ConfigError(f"--{key.replace('_', '-')}: needs --pattern")
    size = options.get("request_bytes")
    if size is not None and not (type(size) is int and 1 <= size <= MAX_REQUEST_BYTES):
        raise ConfigError(f"--request-bytes {show(size)}: must be a whole number from 1 to {MAX_REQUEST_BYTES}")


def traced(
    target: Target,
    memory: str,
    trace_name: str | None,
    made: Pattern | None,
    requested: Trace,
    request_bytes: int | None,
    with_commands: bool,
) -> TraceResult:
    """What becomes of the requests: a request enters with its first access and is done with its last."""
    accesses = accesses_of(requested, target.access_bytes, request_bytes)
    served = target.serve(accesses, with_commands)
    firsts = accesses.firsts
    return TraceResult(
        memory=memory,
        memory_name=target.config.name,
        trace=trace_name,
        pattern=None if made is None else made.as_dict(),
        request_bytes=target.access_bytes if request_bytes is None else request_bytes,
        access_bytes=target.access_bytes,
        num_accesses=accesses.cycles.size,
        cycle_s=target.cycle_s,
        peak_bytes_per_s=target.peak_bytes_per_s,
        io_pj_per_bit=target.io_pj_per_bit,
        arrived=requested.cycles,
        entered=served.entered[firsts],
        completed=np.maximum.reduceat(served.completed, firsts),
        writes=requested.writes,
        served=served,
    )


def write_commands(path: PathLike, result: TraceResult) -> None:
    """Write every command, as the memory has sent them."""
    from archmodel.kernels.dram_state import COMMANDS
    from archmodel.memory.banks import COMMAND

    labels = sorted(COMMANDS)
    assert result.served.commands is not None  # they were asked for
    columns = {name: result.served.commands[name] for name in COMMAND.names or ()}
    columns["command"] = np.searchsorted(labels, columns["command"])
    write_table(path, tuple(columns), tuple(columns.values()), labels)
