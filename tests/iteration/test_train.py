"""`archmodel.train`: a run is what `virtualize` finds, in every combination; lists, searches, files."""

import json

import pytest

import archmodel
from archmodel.errors import ArchmodelError
from archmodel.exchange import read_network
from archmodel.iteration.largest_batch import LOOK_BEYOND
from archmodel.training import POLICIES, STUDY, virtualize
from archmodel.training.systems import load_system
from archmodel.training.training_run import TrainingResult, TrainingRun

DESIGN_KEYS = (
    *("net", "batch", "policy", "iteration_s", "oracle_s", "slowdown", "peak_bytes", "average_bytes"),
    *("offloaded_bytes", "stalls", "fits", "layers"),
)
LAYER_KEYS = ("forward_s", "backward_s", "stall_s", "offloaded_bytes", "prefetched_bytes", "workspace_bytes")


def iteration_of(net, batch, policy, mode="performance", capacity_bytes=None, system="titanx_pcie3"):
    """What the model says without the driver."""
    opened = load_system(system)
    return virtualize(
        *(read_network(net), batch),
        device=opened.device,
        link=opened.link,
        policy=POLICIES[policy],
        mode=mode,
        choices=STUDY,
        capacity_bytes=capacity_bytes,
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", ["performance", "memory"])
def test_a_run_is_what_virtualize_finds(policy, mode):
    run = archmodel.train("alexnet_owt", 128, policy=policy, algorithms=mode, capacity_bytes=2**30)
    found = iteration_of("alexnet_owt", 128, policy, mode, 2**30)
    assert isinstance(run, TrainingRun)
    assert run.timeline == found.timeline
    assert (run.oracle_s, run.fits, run.why_not) == (found.oracle_s, found.fits, found.why_not)
    assert (run.reserved_bytes, run.peak_live_bytes) == (found.reserved_bytes, found.peak_live_bytes)
    assert run.mode == found.trials[-1].mode
    assert run.capacity_bytes == 2**30
    assert run.algorithms == {name: time.algorithm for name, time in found.algorithms.items() if time.algorithm}


def test_the_keys_are_those_of_the_design():
    document = archmodel.train("alexnet_owt", 128, policy="vdnn_all").as_dict()
    assert set(DESIGN_KEYS) <= set(document)
    assert document["slowdown"] == document["iteration_s"] / document["oracle_s"]
    assert all(set(LAYER_KEYS) <= set(layer) for layer in document["layers"])
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_layers_sum_to_the_iteration():
    run = archmodel.train("alexnet_owt", 128, policy="vdnn_all")
    layers = run.as_dict()["layers"]
    seconds = ("forward_s", "backward_s", "update_s", "recompute_s", "stall_s")
    assert sum(layer[key] for layer in layers for key in seconds) == pytest.approx(run.iteration_s, rel=1e-12)
    assert sum(layer["offloaded_bytes"] for layer in layers) == run.offloaded_bytes > 0
    assert sum(sum(layer["stalls"].values()) for layer in layers) == pytest.approx(sum(run.timeline.stalls_s.values()))


def test_the_workspace_of_a_layer_is_the_largest_of_its_steps():
    found = iteration_of("alexnet_owt", 128, "none")
    layers = archmodel.train("alexnet_owt", 128).as_dict()["layers"]
    expected = {}
    for step, time in found.algorithms.items():
        layer = step.rpartition(".")[0]
        expected[layer] = max(expected.get(layer, 0), time.workspace_bytes)
    assert {layer["name"]: layer["workspace_bytes"] for layer in layers if layer["name"] in expected} == expected
    assert any(expected.values())


def test_combinations_come_in_the_order_in_which_they_were_asked_for():
    result = archmodel.train("lenet5,alexnet", "8,4", policy=["vdnn_all", "none"], algorithms="memory,performance")
    asked = [(run.net, run.batch, run.policy, run.mode) for run in result]
    assert asked == [
        (net, batch, policy, mode)
        for net in ("lenet5", "alexnet")
        for batch in (8, 4)
        for policy in ("vdnn_all", "none")
        for mode in ("memory", "performance")
    ]
    assert isinstance(result, TrainingResult)
    assert result[3] == archmodel.train("lenet5", 8, policy="none", algorithms="performance")
    assert [run["policy"] for run in result.as_dict()["runs"][:2]] == ["vdnn_all", "vdnn_all"]
    assert result.provenance["archmodel"] == archmodel.__version__


def test_all_is_every_policy():
    assert [run.policy for run in archmodel.train("lenet5", 8, policy="all")] == list(POLICIES)


def test_dyn_decides_on_the_algorithms_itself():
    runs = archmodel.train("lenet5", 8, policy="vdnn_dyn,none", algorithms="memory,performance").runs
    assert [(run.policy, run.mode) for run in runs] == [
        ("vdnn_dyn", "performance"),
        ("none", "memory"),
        ("none", "performance"),
    ]


@pytest.mark.parametrize(
    "several",
    [{"net": "lenet5,alexnet"}, {"net": ["lenet5"]}, {"batch": [4]}, {"policy": "all"}, {"dma": "plain,cdma_zvc"},
     {"system": "titanx_pcie3,p100_pcie3"}, {"link": "pcie3_x16,nvlink1"}, {"device": ("v100",)}],
)  # fmt: skip
def test_several_names_give_a_list(several):
    assert isinstance(archmodel.train(**{"net": "lenet5", "batch": 4} | several), TrainingResult)


def test_what_does_not_fit_is_a_run():
    result = archmodel.train("alexnet_owt", 128, policy="none,vdnn_all", capacity_bytes=800 * 2**20)
    for run in result:
        found = iteration_of("alexnet_owt", 128, run.policy, capacity_bytes=800 * 2**20)
        assert (run.fits, run.why_not) == (found.fits, found.why_not)
    assert not result[0].fits


@pytest.mark.parametrize("policy", POLICIES)
def test_fit_finds_what_a_walk_finds(policy):
    capacity_bytes = 8 * 2**20
    run = archmodel.train("lenet5", fit=True, policy=policy, capacity_bytes=capacity_bytes)
    largest = run.as_dict()["largest_batch"]
    assert largest == run.batch > 16
    assert run.fits
    for batch in range(largest, largest + 1 + LOOK_BEYOND):
        found = iteration_of("lenet5", batch, policy, capacity_bytes=capacity_bytes)
        assert found.fits == (batch == largest)


def test_where_not_one_image_fits_it_is_said():
    run = archmodel.train("lenet5", fit=True, capacity_bytes=2**20)
    assert (run.facts["largest_batch"], run.batch, run.fits) == (0, 1, False)


def test_parts_of_a_system_are_replaced():
    own = archmodel.train("lenet5", 4)
    assert (own.device, own.link, own.capacity_bytes) == ("titanx_maxwell", "pcie3_x16", 12 * 2**30)
    other = archmodel.train("lenet5", 4, device="v100", link="nvlink2")
    assert (other.device, other.link, other.capacity_bytes) == (
        "v100",
        "nvlink2",
        load_system("v100_pcie3").memory_bytes,
    )
    assert other.config["device"]["name"] != own.config["device"]["name"]
    assert other.oracle_s < own.oracle_s
    machine = archmodel.train("lenet5", 4, device="scnn", memory="hbm2")
    assert machine.capacity_bytes == machine_bytes("hbm2")


def machine_bytes(memory):
    from archmodel.memory.dram import load_memory

    return load_memory(memory).capacity_bytes


def test_an_infinite_link_is_the_oracle():
    run = archmodel.train("alexnet_owt", 128, policy="vdnn_all", link="infinite")
    assert run.slowdown == 1.0
    assert run.offloaded_bytes > 0


def test_a_compressing_engine_moves_less_and_stays_in_the_same_memory():
    plain, packed = archmodel.train("alexnet_owt", 128, policy="vdnn_all", dma="plain,cdma_zvc")
    assert packed.offloaded_bytes < 0.7 * plain.offloaded_bytes
    assert packed.iteration_s < plain.iteration_s
    assert packed.reserved_bytes == plain.reserved_bytes
    assert packed.config["dma"]["codec"] == "zvc"


def test_every_run_is_told_when_it_is_done():
    told = []
    archmodel.train("lenet5", "4,8,12", policy="none,vdnn_all", progress=lambda *one: told.append(one))
    assert told[0] == ("lenet5 (4), none (p)", 1, 6)
    assert len(told) == 6


@pytest.mark.parametrize("policy", ["vdnn_dyn", ["none", "vdnn_dyn"]])
def test_a_run_and_a_list_are_saved_and_loaded(tmp_path, policy):
    found = archmodel.train("lenet5", 8, policy=policy, accounting="caffe")
    archmodel.save(found, tmp_path / "out.h5")
    loaded = archmodel.load(tmp_path / "out.h5")
    assert loaded.runs == (found.runs if isinstance(found, TrainingResult) else (found,))
    assert loaded.provenance["archmodel"] == archmodel.__version__


def test_frames_have_a_row_for_each_layer():
    pytest.importorskip("pandas", reason="pandas is an extra")
    run = archmodel.train("lenet5", 8, policy="vdnn_all")
    frame = run.to_dataframe()
    assert list(frame["name"]) == [layer["name"] for layer in run.as_dict()["layers"]]
    assert frame["offloaded_bytes"].sum() == run.offloaded_bytes
    both = archmodel.train("lenet5", 8, policy="none,vdnn_all").to_dataframe()
    assert set(both["policy"]) == {"none", "vdnn_all"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "batch: is missing; a number of images, several with commas between them, or fit"),
        ({"batch": 4.0}, "batch = 4.0: must be a whole number from 1 to 1048576"),
        ({"batch": True}, "batch = true: must be a whole number from 1 to 1048576"),
        ({"batch": []}, "batch = []: names nothing"),
        ({"batch": 4, "fit": True}, "batch = 4: fit finds the largest; allowed: one of the two"),
        ({"batch": 4, "policy": 5}, "policy = 5: must be a name, or several with commas between them"),
        ({"batch": 4, "policy": []}, "policy = []: names nothing"),
        ({"batch": 4, "policy": "all,vdnn"}, "policy = 'vdnn': must be one of none, "),
        ({"batch": 4, "precision": "fp61"}, "precision = 'fp61': must be fp32, fp16 or mixed"),
        ({"fit": True, "device": "scnn"}, "fit: nothing is known of the memory of SCNN; give capacity_bytes"),
    ],
)
def test_what_is_wrong_is_one_line(asked, message):
    with pytest.raises(ArchmodelError) as caught:
        archmodel.train("lenet5", **asked)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"policy": "none,x"}, {"dma": "plain,x"}, {"link": "pcie3_x16,x"}, {"net": "lenet5,x"}]
)
def test_a_wrong_name_at_the_end_of_a_list_runs_nothing(wrong):
    told = []
    with pytest.raises(ArchmodelError):
        archmodel.train(**{"net": "lenet5", "batch": 4} | wrong, progress=lambda *one: told.append(one))
    assert not told
