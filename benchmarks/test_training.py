"""Speed of training iterations under every policy, and of the search for the largest batch: `make bench`.

Beside seconds there are ratios over writing down the steps of the iteration (`training_graph`), in the same run.
"""

import subprocess
import sys
import time

import pytest

from archmodel import train
from archmodel.exchange import read_network
from archmodel.training import POLICIES, STUDY, training_graph

ROUNDS = 5
NETWORKS = [("vgg416", 32), ("resnet152", 64)]


def cpu_s(function, *arguments, **options):
    """The least CPU seconds of a few calls: other work on the machine only adds to them."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        function(*arguments, **options)
        times.append(time.process_time() - start)
    return min(times)


def graph_s(net, batch):
    """What writing down the steps takes, for ratios."""
    return cpu_s(training_graph, read_network(net), batch, STUDY)


@pytest.mark.parametrize(("net", "batch"), NETWORKS)
def test_every_policy(benchmark, net, batch):
    steps_s = graph_s(net, batch)
    alone = {policy: cpu_s(train, net, batch, policy=policy) for policy in POLICIES}
    together_s = cpu_s(train, net, batch, policy="all")
    benchmark.extra_info |= {policy: round(seconds / steps_s, 1) for policy, seconds in alone.items()}
    benchmark.extra_info |= {"all": round(together_s / steps_s, 1), "all_s": round(together_s, 2)}
    benchmark.extra_info |= {"sum_of_policies_s": round(sum(alone.values()), 2)}
    benchmark.pedantic(train, (net, batch), {"policy": "all"}, rounds=ROUNDS)
    print(net, batch, benchmark.extra_info)


@pytest.mark.parametrize(("net", "batch"), NETWORKS)
def test_every_policy_as_a_command(benchmark, net, batch):
    command = [sys.executable, "-m", "archmodel", "train", "--net", net, "--batch", str(batch), "--policy", "all"]
    benchmark.pedantic(subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=ROUNDS)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("net", "batch"), NETWORKS)
def test_the_largest_batch(benchmark, net, batch, policy):
    steps_s = graph_s(net, batch)
    found = benchmark.pedantic(train, (net,), {"policy": policy, "fit": True}, rounds=1)
    seconds = cpu_s(train, net, policy=policy, fit=True)
    benchmark.extra_info |= {"batch": found.batch, "s": round(seconds, 2), "over_steps": round(seconds / steps_s)}
    print(net, policy, benchmark.extra_info)
