"""docs/virtualization.md: its snippet runs, its policies are those that there are."""

import re
from pathlib import Path

from archmodel.exchange import read_network
from archmodel.interconnect.link import load_link
from archmodel.training import POLICIES, STUDY, virtualize
from archmodel.training.devices import open_device
from archmodel.training.residency import fit

PAGE = (Path(__file__).parents[2] / "docs" / "virtualization.md").read_text("utf-8")


def test_the_snippet_prints_what_the_table_of_the_study_has(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "virtualization.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    (shown,) = re.findall(r"prints\n\n```\n(.*?)\n```", PAGE, re.DOTALL)
    assert lines == shown.splitlines()


def test_the_page_says_what_addresses_save_over_a_pool():
    network, device = read_network("vgg16"), open_device("titanx_maxwell")
    link, policy = load_link("pcie3_x16_vdnn"), POLICIES["vdnn_dyn"]
    taken = virtualize(network, 256, device=device, link=link, policy=policy).trials[-1]
    assert taken.fit.placed
    steps = taken.plan.graph.steps
    options = [device.options(network, network.layer(step.layer), step.operation, 256, STUDY) for step in steps]
    pooled = fit(taken.plan, options, taken.fit.picks, None)
    shown = re.search(r"([\d.]+) of 12 GiB are in use at a time, and the pool would need ([\d.]+)\.", PAGE).groups()
    assert shown == (f"{taken.fit.peak_live_bytes / 2**30:.2f}", f"{pooled.reserved_bytes / 2**30:.2f}")


def test_the_table_has_every_policy():
    names = re.findall(r"^\| `(\w+)` \|", PAGE.split("## Policies")[1].split("\n\n`mode`")[0], re.MULTILINE)
    assert names == list(POLICIES)
