"""Random requests to every DRAM part and to random ones; the checker looks at every command that the kernel sends.

    python tests/check_dram_commands.py --commands 10_000_000 --seed 0

Prints violations as they are found, then the number of commands of each part; the exit code is 1 if there was one.
"""

import argparse
import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

RANDOM = "random parts"
PORTION = 20_000  # requests to a part at once
FIELDS = ("cycle", "channel", "rank", "bank_group", "bank", "command", "row")


def parts() -> list[str]:
    """Files of configs/memory that are made of banks."""
    from archmodel import config

    return [name for name in config.names("memory") if config.read("memory", name)[0]["model"] == "banks"]


def stretches(rng: np.random.Generator, num_granules: int, num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrival, number of the access and kind of `num` requests, in stretches of one pattern each."""
    arrivals, numbers, writes, cycle = [], [], [], 0
    left = num
    while left > 0:
        size = min(left, int(rng.choice([20, 200, 2000])))
        left -= size
        first = int(rng.integers(num_granules))
        stride = int(rng.choice([1, 3, 64, 1024, num_granules // 64 + 1]))
        few = rng.integers(0, num_granules, 8)
        patterns = (
            first + np.arange(size),
            first + stride * np.arange(size),
            rng.integers(0, num_granules, size),
            rng.choice(few, size),
        )
        numbers.append(patterns[rng.integers(len(patterns))])
        writes.append(rng.random(size) < rng.choice([0, 0.2, 0.5, 1]))
        gaps = rng.integers(0, int(rng.choice([1, 2, 20, 200])), size)
        arrivals.append(cycle + np.cumsum(gaps))
        cycle = int(arrivals[-1][-1]) + int(rng.choice([0, 0, 5000]))
    return np.concatenate(arrivals), np.concatenate(numbers), np.concatenate(writes)


def checked(task: tuple[str, int, int]) -> tuple[str, int, list[str]]:
    """Part, commands and violations of one task: a part, `num` requests, a seed."""
    from archmodel import config
    from archmodel.memory.banks import serve
    from archmodel.memory.part import BankMemoryConfig
    from tests.memory.random_parts import random_case, random_cube_case
    from tests.reference.dram_checker import violations

    name, num, seed = task
    known: dict[str, Any] = {}
    if name == RANDOM:
        part, trace = (random_cube_case if seed % 4 == 0 else random_case)(seed, num)
        cycles, addresses, writes = (np.array(column) for column in zip(*trace, strict=True))
    else:
        part = config.read("memory", name)[0] | {"name": name}
        model = BankMemoryConfig.model_validate(part)
        rng = np.random.default_rng([seed, len(name)])
        cycles, numbers, writes = stretches(rng, model.capacity_bytes // model.access_bytes, num)
        addresses = numbers * model.access_bytes
    served = serve(BankMemoryConfig.model_validate(part), cycles, addresses, writes, commands=True)
    rows = list(zip(*(served.commands[field].tolist() for field in FIELDS), strict=True))
    if "links" not in part:  # else `entered` is of the link
        requests = zip(cycles.tolist(), addresses.tolist(), writes.tolist(), strict=True)
        known = {"requests": list(requests), "entered": served.entered.tolist(), "completed": served.completed.tolist()}
    found = violations(part, rows, until=served.cycles, **known)
    return name, len(rows), [f"{name}, seed {seed}: {sentence}" for sentence in found]


def tasks(names: list[str], seed: int) -> Iterator[tuple[str, int, int]]:
    """Portions of every part in turn, without end."""
    number = seed * 10**6
    while True:
        for name in names:
            yield name, PORTION, number
            number += 1
        yield RANDOM, random.Random(number).choice([100, 1000, 5000]), number
        number += 1


def main() -> None:
    """Check portions until there were enough commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=10_000_000, help="at least so many (default 10 million)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    counts, num_violations = Counter[str](), 0
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        endless, names = tasks(parts(), arguments.seed), parts()
        while counts.total() < arguments.commands:
            portion = [next(endless) for _ in range(4 * (len(names) + 1))]
            for name, num, found in pool.imap_unordered(checked, portion):
                counts[name] += num
                num_violations += len(found)
                for sentence in found[:5]:
                    print(sentence, flush=True)
    for name, num in sorted(counts.items()):
        print(f"{name:18} {num:>12,} commands")
    print(f"{num_violations} violations in {counts.total():,} commands")
    sys.exit(1 if num_violations else 0)


if __name__ == "__main__":
    main()
