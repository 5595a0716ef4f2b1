"""Speed of every machine that comes with archmodel, exact and statistical: `make bench`.

CPU seconds of a warm `simulate` on one thread: files, zeros and energy included, imports and compilation not.
"""

import time

import pytest

from archmodel import config, simulate
from archmodel.accelerators import random_blocks

ROUNDS = 3


def cpu_s(machine, net, fidelity, **options):
    """Median CPU seconds of a run."""
    simulate(machine, net, fidelity=fidelity, skip_unsupported=True, threads=1, **options)
    times = []
    for _ in range(ROUNDS):
        random_blocks._block.cache_clear()
        start = time.process_time()
        result = simulate(machine, net, fidelity=fidelity, skip_unsupported=True, threads=1, **options)
        times.append(time.process_time() - start)
    return sorted(times)[ROUNDS // 2], sum(layer.macs_dense for layer in result.layers)


@pytest.mark.parametrize("net", ["alexnet", "vgg16"])
@pytest.mark.parametrize("machine", config.names("accelerators"))
def test_exact_and_statistical(benchmark, machine, net):
    (exact_s, macs), (statistical_s, _) = (cpu_s(machine, net, fidelity) for fidelity in ("exact", "statistical"))
    benchmark.extra_info |= {
        "exact_s": round(exact_s, 3),
        "dense_gmacs_per_cpu_s": round(macs / exact_s / 1e9, 2),
        "statistical_s": round(statistical_s, 3),
        "exact_over_statistical": round(exact_s / statistical_s, 1),
    }
    options = {"fidelity": "statistical", "skip_unsupported": True, "threads": 1}
    benchmark.pedantic(simulate, (machine, net), options, rounds=ROUNDS)
    print(machine, net, benchmark.extra_info)


def test_a_layer_of_eie(benchmark):
    benchmark.extra_info |= {"exact_s": round(cpu_s("eie", "eie_layers", "exact", layers="Alex-6")[0], 3)}
    benchmark.pedantic(simulate, ("eie", "eie_layers"), {"layers": "Alex-6", "threads": 1}, rounds=ROUNDS)
    print(benchmark.extra_info)
