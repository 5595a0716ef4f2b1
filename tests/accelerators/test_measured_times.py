"""Tables of measured layer times: what is read, whom it serves, and what is refused."""

import pytest

from archmodel.accelerators.measured_times import load_measured, measured_times
from archmodel.errors import WorkloadError
from archmodel.exchange import read_network

HEADER = "network,batch,layer,log_layer,forward_ms,backward_ms"
TOTALS_MS = {"alexnet_owt": (128, 128.729), "overfeat_fast": (128, 430.114), "vgg_a": (64, 680.247)}


@pytest.mark.parametrize("name", TOTALS_MS)
def test_the_layers_make_up_the_measured_iteration(name):
    """Caffe's own total of the same run has the loop over the layers in it: 0.3 % at most."""
    N, total_ms = TOTALS_MS[name]
    network = read_network(name)
    times = measured_times(load_measured(), name, network, N)
    assert [time.name for time in times] == [layer.name for layer in network.layers]
    assert 1e3 * sum(time.seconds for time in times) == pytest.approx(total_ms, rel=0.003)
    timed = {time.name for time in times if time.seconds}
    assert timed == {layer.name for layer in network.layers if layer.kind in ("conv", "pool", "fc")}


def test_a_row_is_the_one_of_the_log():
    times = {time.name: time for time in measured_times(load_measured(), "vgg_a", read_network("vgg_a"), 64)}
    assert times["conv1_1"].forward_s == pytest.approx(19.8349e-3)
    assert times["conv1_1"].backward_s == pytest.approx(52.8334e-3)
    assert times["conv1_1"].workspace_bytes == 0
    assert times["relu1_1"].seconds == 0


@pytest.mark.parametrize(
    ("name", "N", "message"),
    [
        ("alexnet_owt", 64, "'alexnet_owt': batch = 64: measured at 128"),
        ("alexnet_ow", 128, "'alexnet_ow': not measured; allowed: alexnet_owt, overfeat_fast, vgg_a; did you mean"),
    ],
)
def test_only_what_was_measured_is_answered(name, N, message):
    with pytest.raises(WorkloadError, match=message):
        measured_times(load_measured(), name, read_network("alexnet_owt"), N)


def test_a_row_needs_its_layer(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"# mine\n{HEADER}\nalexnet_owt,4,conv9,conv9,1.0,2.0\n")
    with pytest.raises(WorkloadError, match="no layer 'conv9'"):
        measured_times(load_measured(path), "alexnet_owt", read_network("alexnet_owt"), 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must be network,batch"),
        ("layer,forward_ms\n", "the first line must be network,batch"),
        (f"{HEADER}\na,4,conv,conv,1.0\n", "line 2: must have 6 values"),
        (f"{HEADER}\n\na,4,conv,conv,-1.0,2\n", "line 3: forward_ms = '-1.0': must be milliseconds, 0 or more"),
        (f"{HEADER}\na,4,conv,conv,1,nan\n", "line 2: backward_ms = 'nan': must be milliseconds"),
        (f"{HEADER}\na,4,conv,conv,1,inf\n", "line 2: backward_ms = 'inf': must be milliseconds"),
        (f"{HEADER}\na,4,conv,conv,x,1\n", "line 2: forward_ms = 'x': must be milliseconds"),
        (f"{HEADER}\na,0,conv,conv,1,1\n", "line 2: batch = '0': must be from 1"),
        (f"{HEADER}\na,-4,conv,conv,1,1\n", "line 2: batch = '-4': must be from 1"),
        (f"{HEADER}\na,4294967296,conv,conv,1,1\n", "line 2: batch = '4294967296': must be from 1"),
        (f"{HEADER}\na,4,conv,conv,1,1\na,4,conv,conv,1,1\n", "line 3: 'conv' of 'a' stands above"),
    ],
)
def test_a_broken_table_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(WorkloadError, match=message) as error:
        load_measured(path)
    assert "\n" not in str(error.value)
