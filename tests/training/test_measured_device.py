"""Measured layer times as a device: rows of the table, shared out between the steps of a layer."""

import pytest

from archmodel.accelerators.measured_times import MeasuredRow
from archmodel.errors import ConfigError, WorkloadError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network
from archmodel.training import STUDY, TrainingChoices, training_graph
from archmodel.training.devices import open_device
from archmodel.training.gpu_device import GpuDevice
from archmodel.training.measured_device import MeasuredDevice

CAFFE = open_device("titanx_caffe")
BATCHES = {"alexnet_owt": 128, "overfeat_fast": 128, "vgg_a": 64}


def seconds(device, network, step, batch):
    (option,) = device.options(network, network.layer(step.layer), step.operation, batch, STUDY)
    assert (option.workspace_bytes, option.dram_s) == (0, 0.0)
    return option.seconds


@pytest.mark.parametrize("name", BATCHES)
def test_the_steps_of_a_layer_take_what_its_row_says(name):
    network, batch = read_network(name), BATCHES[name]
    found = {}
    for step in training_graph(network, batch, STUDY).steps:
        key = (step.layer, "forward" if step.operation == "forward" else "backward")
        found[key] = found.get(key, 0.0) + seconds(CAFFE, network, step, batch)
    for row in CAFFE.rows:
        if row.network == name:
            assert found.pop((row.layer, "forward")) == pytest.approx(row.forward_s, rel=1e-12)
            assert found.pop((row.layer, "backward")) == pytest.approx(row.backward_s, rel=1e-12)
    assert not any(found.values())  # activations in place, updates, the loss


def test_a_backward_time_is_shared_out_as_by_the_roofline():
    network = read_network("vgg_a")
    layer, row = network.layer("conv2_1"), next(one for one in CAFFE.rows if one.layer == "conv2_1")
    ours = {
        which: CAFFE.options(network, layer, which, 64, STUDY)[0].seconds
        for which in ("weight_gradient", "data_gradient")
    }
    roofline = {which: CAFFE.roofline.options(network, layer, which, 64, STUDY)[-1].seconds for which in ours}
    assert sum(ours.values()) == pytest.approx(row.backward_s)
    assert ours["weight_gradient"] / ours["data_gradient"] == pytest.approx(
        roofline["weight_gradient"] / roofline["data_gradient"]
    )
    assert ours["weight_gradient"] != ours["data_gradient"]


def test_the_first_layer_has_all_its_backward_time_in_its_weights():
    network = read_network("vgg_a")
    (option,) = CAFFE.options(network, network.layer("conv1_1"), "weight_gradient", 64, STUDY)
    assert option.seconds == pytest.approx(52.8334e-3)


def test_a_repeated_forward_step_takes_the_measured_forward_time():
    network = read_network("vgg_a")
    assert CAFFE.options(network, network.layer("conv1_1"), "recompute", 64, STUDY)[0].seconds == pytest.approx(
        19.8349e-3
    )


@pytest.mark.parametrize(
    ("name", "batch", "choices", "message"),
    [
        ("vgg_a", 32, STUDY, "'vgg_a': batch = 32: measured at 64"),
        ("vgg16", 64, STUDY, "'vgg16': not measured; allowed: alexnet_owt, overfeat_fast, vgg_a"),
        ("vgg_a", 64, TrainingChoices("fp16"), ".*precision = 'fp16': measured in fp32"),
    ],
)
def test_what_was_not_measured_is_refused(name, batch, choices, message):
    network = read_network(name)
    with pytest.raises(WorkloadError, match=f"^{message}"):
        CAFFE.options(network, network.layers[0], "forward", batch, choices)


def test_two_networks_of_one_name_keep_their_own_times():
    rows = (MeasuredRow("net", 2, "a", 1.0, 2.0),)
    device = MeasuredDevice("table", rows, CAFFE.roofline)
    for names in (("a",), ("a", "b")):
        layers = [Layer(name, "conv", ("x",), (4, 8, 8), 4) for name in names]
        network = Network("net", "", "", {"x": (4, 8, 8)}, tuple(layers))
        assert [device.options(network, layer, "forward", 2, STUDY)[0].seconds for layer in layers] == [1.0, 0.0][
            : len(names)
        ]


def test_it_has_the_memory_of_the_device_that_was_measured_and_no_traffic():
    assert CAFFE.memory_bytes == 12 * 2**30
    assert CAFFE.dram_bytes_per_s is None
    assert isinstance(CAFFE.roofline, GpuDevice)


def test_a_table_of_your_own_stands_beside_its_file(tmp_path):
    (tmp_path / "own.csv").write_text(
        "network,batch,layer,log_layer,forward_ms,backward_ms\nvgg_a,8,conv1_1,x,1.5,2.5\n"
    )
    text = 'model = "measured"\nname = "own"\ntimes = "own.csv"\ndevice = "v100"\n'
    (tmp_path / "own.toml").write_text(text)
    device, network = open_device(tmp_path / "own.toml"), read_network("vgg_a")
    assert device.options(network, network.layers[0], "forward", 8, STUDY)[0].seconds == pytest.approx(1.5e-3)
    assert device.memory_bytes == 16 * 2**30
    (tmp_path / "bad.toml").write_text(text.replace("own.csv", "own.txt"))
    with pytest.raises(ConfigError, match=r"bad.toml: times = 'own.txt': must be the name of a .csv file$"):
        open_device(tmp_path / "bad.toml")
