"""Every machine of the package against what must hold of all."""

import pytest

from archmodel import config
from tests.accelerators.invariants import INVARIANTS, results_survive_a_file

MACHINES = config.names("accelerators")


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
@pytest.mark.parametrize("arch", MACHINES)
def test_every_machine(arch, invariant):
    invariant(arch)


@pytest.mark.parametrize("arch", MACHINES)
def test_results_of_every_machine_survive_a_file(arch, tmp_path):
    results_survive_a_file(arch, tmp_path)
