"""Speed of statistical runs beside exact ones, without imports and compilation: `make bench`."""

import time

import pytest

from archmodel import simulate
from archmodel.accelerators import random_blocks

ROUNDS = 9


def cpu_s(net, fidelity, rounds=ROUNDS):
    """Median CPU seconds of a run on one thread."""
    times = []
    for _ in range(rounds):
        random_blocks._block.cache_clear()
        start = time.process_time()
        simulate("scnn", net, fidelity=fidelity, threads=1)
        times.append(time.process_time() - start)
    return sorted(times)[rounds // 2]


@pytest.mark.parametrize("net", ["vgg16", "googlenet"])
def test_a_statistical_run_beside_an_exact_one(benchmark, net):
    simulate("scnn", net, fidelity="statistical")
    exact_s, statistical_s = cpu_s(net, "exact", rounds=3), cpu_s(net, "statistical")
    benchmark.extra_info |= {
        "statistical_s": round(statistical_s, 3),
        "exact_over_statistical": round(exact_s / statistical_s, 1),
    }
    benchmark.pedantic(simulate, ("scnn", net), {"fidelity": "statistical", "threads": 1}, rounds=ROUNDS)
    print(benchmark.extra_info)
