"""`sim --link`: bytes of a network at a machine's widths, and what a link adds to the machine's time."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archmodel
from archmodel import config
from archmodel.cli import main
from archmodel.errors import ConfigError
from archmodel.interconnect.batches import HostTransfers
from archmodel.interconnect.link import load_link

LENET = {"inputs": 28 * 28, "outputs": 10}
SLOW = ("link.setup_s=0.0", "link.bytes_per_s_calibration=1e6")


def run_on(arch="tpu_v1", link="pcie3_x16", **options):
    return archmodel.simulate(arch, "lenet5", fidelity="statistical", link=link, **options)


def transfers(link, device_s=1e-3, upload=10**6, download=10**5, weights=10**7, capacity=None):
    return HostTransfers.of(
        link,
        device_s,
        upload_bytes=upload,
        download_bytes=download,
        weight_bytes=weights,
        capacity_bytes=capacity,
    )


@pytest.fixture
def archmodel_run(capsys, monkeypatch):
    """Run the command line on a terminal of 80 columns: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        return main.run(list(map(str, arguments))), *capsys.readouterr()

    return call


# What is moved


@pytest.mark.parametrize(
    ("arch", "activation_bits", "weight_bits"),
    [("tpu_v1", 8, 8), ("scnn", 16, 16), ("dadiannao", 16, 16), ("eie", 16, 4), ("systolic_ternary", 8, 2)],
)
def test_words_have_the_widths_of_the_machine(arch, activation_bits, weight_bits):
    options = {"skip_unsupported": True}
    moved = run_on(arch, batch=3, **options).host_transfers
    run = run_on(arch, batch=3, **options)
    network = archmodel.exchange.read_network("lenet5")
    words = sum(network.layer(layer.name).parameters for layer in run.layers)
    assert moved.upload_bytes == 3 * LENET["inputs"] * activation_bits // 8
    assert moved.download_bytes == 3 * LENET["outputs"] * activation_bits // 8
    assert moved.weight_bytes == -(-words * weight_bits // 8)


def test_weights_are_those_of_the_layers_that_run():
    whole, part = run_on().host_transfers, run_on(layers="conv*").host_transfers
    assert part.weight_bytes < whole.weight_bytes
    assert part.upload_bytes == whole.upload_bytes


def test_the_times_are_those_of_the_link():
    run, link = run_on(), load_link("pcie3_x16")
    moved = run.host_transfers
    assert moved.upload_s == link.seconds("upload", moved.upload_bytes)
    assert moved.download_s == link.seconds("download", moved.download_bytes)
    assert moved.weights_s == link.seconds("upload", moved.weight_bytes)
    parts = (moved.weights_s, moved.upload_s, run.time_s, moved.download_s)
    assert moved.end_to_end_s == pytest.approx(sum(parts), rel=1e-12)


# From batch to batch


def test_the_slowest_of_machine_upload_and_download_decides():
    link = load_link("pcie3_x16_vdnn")
    up, down = 10**6 / 12.8e9, 10**5 / 12.8e9
    assert transfers(link).interval_s == 1e-3
    assert transfers(link, device_s=1e-6).interval_s == pytest.approx(up)
    assert transfers(link, device_s=1e-6, upload=1000).interval_s == pytest.approx(down)


def test_both_directions_at_once_are_slower_than_the_slower_alone_where_they_share_a_limit():
    link = load_link("pcie3_x16")
    moved = transfers(link, device_s=0.0, upload=10**7, download=10**7)
    assert moved.interval_s > max(moved.upload_s, moved.download_s)
    assert moved.interval_s < moved.upload_s + moved.download_s


def test_weights_stay_if_they_fit_beside_two_batches():
    link = load_link("pcie3_x16_vdnn")
    needed = 10**7 + 2 * (10**6 + 10**5)
    fits, full = transfers(link, capacity=needed), transfers(link, capacity=needed - 1)
    assert (fits.weights_stay, full.weights_stay) == (True, False)
    assert fits.interval_s == 1e-3
    fits, full = (transfers(link, device_s=1e-6, capacity=size) for size in (needed, needed - 1))
    assert fits.interval_s == pytest.approx(10**6 / 12.8e9)
    assert full.interval_s == pytest.approx((10**7 + 10**6) / 12.8e9)
    assert full.end_to_end_s == fits.end_to_end_s


def test_the_capacity_is_that_of_the_memory_of_banks():
    assert run_on(memory="hbm1").host_transfers.weights_stay
    small = run_on(memory="hbm1", assignments=("memory.organization.rows=16", "memory.organization.columns=8"))
    assert not small.host_transfers.weights_stay


def test_an_infinite_link_adds_nothing():
    run, alone = run_on(link="infinite"), run_on(link=None)
    assert run.host_transfers.interval_s == run.host_transfers.end_to_end_s == run.time_s == alone.time_s
    assert alone.host_transfers is None
    assert run.layers == alone.layers


def test_a_link_changes_no_cycle_and_no_key_that_was_there():
    run, alone = run_on().as_dict(), run_on(link=None).as_dict()
    added = run["totals"].keys() - alone["totals"].keys()
    assert added == {"link_upload_s", "link_download_s", "link_weights_s", "link_interval_s", "end_to_end_s"}
    assert {key: run["totals"][key] for key in alone["totals"]} == alone["totals"]
    assert run["layers"] == alone["layers"]
    assert run.keys() - alone.keys() == {"host_transfers"}
    assert run["config"]["link"]["name"] == "PCIe 3.0 x16"


SIZES = st.integers(0, 10**8)


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES, SIZES, st.floats(0, 1e-2), st.one_of(st.none(), SIZES), st.sampled_from((1, 2, 4, 8)))
def test_more_bandwidth_never_hurts_and_nothing_is_faster_than_the_machine(
    up, down, weights, device_s, capacity, lanes
):
    given_bytes = {"upload": up, "download": down, "weights": weights, "capacity": capacity}
    slow = transfers(load_link(f"pcie3_x{lanes}"), device_s, **given_bytes)
    fast = transfers(load_link(f"pcie3_x{2 * lanes}"), device_s, **given_bytes)
    none = transfers(load_link("infinite"), device_s, **given_bytes)
    for name in ("interval_s", "end_to_end_s", "upload_s", "download_s", "weights_s"):
        assert getattr(slow, name) >= getattr(fast, name) * (1 - 1e-12) >= getattr(none, name) * (1 - 2e-12)
    assert none.interval_s == device_s
    assert device_s <= fast.interval_s


# At the command line and in files


def test_the_lines_and_keys_of_a_run(archmodel_run, tmp_path):
    arguments = ["sim", "--arch", "tpu_v1", "--net", "lenet5", "--fidelity", "statistical", "--link", "pcie3_x16_vdnn"]
    path = tmp_path / "out.h5"
    code, output, errors = archmodel_run(*arguments, "-o", path)
    assert (code, errors) == (0, "")
    assert "link         PCIe 3.0 x16, measured 12.8 GB/s: inputs 61.2 ns (784 B), results" in output
    assert "once" in output
    assert "bound by the link" not in output
    slow = archmodel_run(*arguments, "--set", SLOW[0], "--set", SLOW[1])[1]
    assert "inputs 784 us (784 B)" in slow
    assert "every 784 us" in slow
    assert "bound by the link" in slow
    document = json.loads(archmodel_run(*arguments, "--json")[1])
    run = archmodel.load(path)
    assert document["totals"]["link_upload_s"] == run.host_transfers.upload_s == 784 / 12.8e9
    assert document["host_transfers"] == run.host_transfers.as_dict()
    shown = archmodel_run("show", path)[1]
    assert "link         PCIe 3.0 x16" in shown
    full = archmodel_run(*arguments, "--memory", "hbm1", "--set", "memory.organization.rows=16",
                         "--set", "memory.organization.columns=8")[1]  # fmt: skip
    assert "with every batch: no room" in full


def test_a_run_without_a_link_has_no_line(archmodel_run):
    output = archmodel_run("sim", "--arch", "tpu_v1", "--net", "lenet5", "--fidelity", "statistical")[1]
    assert "end to end" not in output
    assert "link" not in output


def test_both_machines_of_a_run_have_the_link():
    run = run_on("scnn", baseline="dcnn")
    assert run.baseline.host_transfers.upload_bytes == run.host_transfers.upload_bytes
    assert run.baseline.host_transfers.end_to_end_s != run.host_transfers.end_to_end_s


def test_several_machines_have_the_link(archmodel_run):
    arguments = ["sim", "--arch", "tpu_v1,dadiannao", "--net", "lenet5", "--fidelity", "statistical"]
    output = archmodel_run(*arguments, "--link", "pcie3_x16")[1]
    assert "every" in output.splitlines()[1]
    rows = json.loads(archmodel_run(*arguments, "--link", "pcie3_x16", "--json")[1])["machines"]
    assert all(row["link_interval_s"] >= row["time_s"] for row in rows)
    assert "every" not in archmodel_run(*arguments)[1].splitlines()[1]
    assert "link_upload_s" not in json.loads(archmodel_run(*arguments, "--json")[1])["machines"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"link": "pcie3_x17"}, "unknown link; .* did you mean 'pcie3_x1"),
        ({"link": "ideal"}, "unknown link"),
        ({"link": None, "assignments": ("link.setup_s=0.0",)}, "--set link.setup_s=0.0: needs --link"),
        ({"assignments": ("link.setup=0.0",)}, "--set link.setup=0.0: unknown key .* did you mean 'setup_s'"),
        ({"assignments": ("link.lanes.lanes=5",)}, "--set link.lanes.lanes=5: must be 1, 2, 4, 8 or 16"),
    ],
)
def test_a_link_that_there_is_not_is_one_line(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        run_on(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", config.names("links"))
def test_every_link_carries_a_run(name):
    moved = run_on(link=name).host_transfers
    assert moved.interval_s >= run_on(link=None).time_s
    assert moved.end_to_end_s >= moved.weights_s + moved.upload_s + moved.download_s
