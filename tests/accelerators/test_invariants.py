"""Every machine of the package against what must hold of all."""

import pytest

from archmodel import config, simulate
from tests.accelerators.invariants import INVARIANTS, results_survive_a_file

MACHINES = config.names("accelerators")


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
@pytest.mark.parametrize("arch", MACHINES)
def test_every_machine(arch, invariant):
    invariant(arch)


@pytest.mark.parametrize("arch", MACHINES)
def test_results_of_every_machine_survive_a_file(arch, tmp_path):
    results_survive_a_file(arch, tmp_path)


@pytest.mark.parametrize("net", ["lenet5", "neuraltalk"])
def test_the_effectual_work_on_the_same_zeros_is_one_number(net):
    densities = {"weights": "density=0.3", "activations": "density=0.4"}
    counts = {}
    for arch in config.names("accelerators"):
        for layer in simulate(arch, net, skip_unsupported=True, seed=5, **densities).layers:
            counts.setdefault(layer.name, set()).add(layer.macs_effectual)
    assert counts
    assert all(len(numbers) == 1 for numbers in counts.values()), counts
