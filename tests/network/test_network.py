"""The graph: joins, consumers, selection, and what cannot be a network."""

import pytest

from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network, Zeros, joined_shape
from archmodel.network.network import matmul_kernels


def relu(name, producer, shape=(4, 6, 6)):
    return Layer(name, "activation", (producer,), shape, shape[0], mode="relu")


def diamond():
    """image -> fork -> (left, right) -> join."""
    layers = (
        relu("fork", "image"),
        Layer("left", "conv", ("fork",), (4, 6, 6), 8, 3, 3, padding=(1, 1, 1, 1)),
        Layer("right", "conv", ("fork",), (4, 6, 6), 2),
        Layer("join", "concat", ("left", "right"), (10, 6, 6), 10),
    )
    return Network("diamond", "a diamond", "made up", {"image": (4, 6, 6)}, layers)


def network(*layers, inputs=None, **fields):
    return Network("net", "a net", "made up", inputs or {"image": (4, 6, 6)}, layers, **fields)


def test_a_fork_is_read_by_several_layers_and_the_last_tensor_by_none():
    assert diamond().consumers == {
        "image": ("fork",),
        "fork": ("left", "right"),
        "left": ("join",),
        "right": ("join",),
        "join": (),
    }


def test_a_layer_that_reads_a_tensor_twice_is_one_consumer():
    twice = Layer("sum", "add", ("r", "r"), (4, 6, 6), 4)
    assert network(relu("r", "image"), twice).consumers["r"] == ("sum",)


def test_totals_are_sums_over_the_layers():
    assert diamond().macs == 36 * (8 * 4 * 9 + 2 * 4)
    assert diamond().parameters == 8 * 4 * 9 + 8 + 2 * 4 + 2
    assert [layer.name for layer in diamond().compute_layers] == ["left", "right"]
    net = network(*diamond().layers, Layer("fc", "fc", ("join",), (360, 1, 1), 2))
    parameters = diamond().parameters + 722
    assert net.totals == {
        "parameters": parameters,
        "parameters_mib": parameters * 4 / 1024 / 1024,
        "macs": diamond().macs + 720,
        "conv_macs": diamond().macs,
    }


def test_a_concat_adds_channels_and_a_fully_connected_layer_flattens():
    shapes = {"a": (3, 5, 6), "b": (4, 5, 6)}
    assert joined_shape("x", "concat", ("a", "b", "a"), shapes) == (10, 5, 6)
    assert joined_shape("x", "fc", ("a",), shapes) == (90, 1, 1)
    assert joined_shape("x", "lstm", ("a",), shapes) == (18, 5, 1)
    assert joined_shape("x", "conv", ("b",), shapes) == (4, 5, 6)
    assert joined_shape("x", "add", ("a", "a"), shapes) == (3, 5, 6)


@pytest.mark.parametrize("kind", ["add", "multiply"])
def test_what_has_size_1_along_an_axis_is_repeated(kind):
    shapes = {"map": (3, 5, 6), "channels": (3, 1, 1), "column": (1, 5, 1), "two": (2, 1, 1)}
    assert joined_shape("x", kind, ("channels", "map"), shapes) == (3, 5, 6)
    assert joined_shape("x", kind, ("channels", "column"), shapes) == (3, 5, 1)
    with pytest.raises(WorkloadError, match=f"{kind} needs equal shapes, not 3x5x6 and 2x1x1$"):
        joined_shape("x", kind, ("map", "two"), shapes)


def test_planes_that_do_not_join_are_refused():
    shapes = {"a": (3, 5, 5), "b": (3, 5, 4), "c": (4, 5, 5)}
    message = r"^layer 'x': inputs = \['a', 'b'\]: concat needs equal planes \(H, W\), not 3x5x5 and 3x5x4$"
    with pytest.raises(WorkloadError, match=message):
        joined_shape("x", "concat", ("a", "b"), shapes)
    with pytest.raises(
        WorkloadError, match=r"^layer 'x': inputs = \['a', 'c'\]: add needs equal shapes, not 3x5x5 and 4x5x5$"
    ):
        joined_shape("x", "add", ("a", "c"), shapes)


def test_selection_keeps_execution_order_and_takes_several_globs():
    vgg16 = read_network("vgg16")
    assert [layer.name for layer in vgg16.select("conv3_*")] == ["conv3_1", "conv3_2", "conv3_3"]
    assert [layer.name for layer in vgg16.select("fc?, conv1_1")] == ["conv1_1", "fc6", "fc7", "fc8"]


@pytest.mark.parametrize("pattern", ["convv3_1", "conv1_1,convv3_1", ""])
def test_a_glob_that_matches_nothing_is_refused(pattern):
    with pytest.raises(WorkloadError, match=r"^vgg16: no layer matches") as caught:
        read_network("vgg16").select(pattern)
    assert ("did you mean 'conv3_1'?" in str(caught.value)) == bool(pattern)


def test_an_unknown_layer_names_the_nearest():
    assert diamond().layer("left").K == 8
    with pytest.raises(WorkloadError, match=r"^diamond: no layer 'rigth'; did you mean 'right'\?$"):
        diamond().layer("rigth")


def test_layers_of_one_name_are_refused():
    with pytest.raises(WorkloadError, match="layer 'r': name is already taken"):
        network(relu("r", "image"), relu("r", "image"))
    with pytest.raises(WorkloadError, match="layer 'image': name is already taken"):
        network(relu("r", "image"), relu("image", "r"))


def test_execution_order_is_topological_or_refused():
    with pytest.raises(WorkloadError, match="layer 'a': inputs = \\['b'\\]: 'b' stands below or is itself"):
        network(relu("a", "b"), relu("b", "image"))
    with pytest.raises(WorkloadError, match="'a' stands below or is itself"):
        network(relu("a", "a"))
    with pytest.raises(WorkloadError, match=r"'imag' is no layer or network input.*did you mean 'image'"):
        network(relu("a", "imag"))


def test_shapes_must_follow_from_the_producers():
    with pytest.raises(WorkloadError, match=r"layer 'a': input shape = \[4, 6, 5\]: its producers give \[4, 6, 6\]"):
        network(relu("a", "image", shape=(4, 6, 5)))


def test_a_network_input_that_nobody_reads_is_refused():
    with pytest.raises(WorkloadError, match="network input 'mask': no layer reads it"):
        network(relu("a", "image"), inputs={"image": (4, 6, 6), "mask": (1, 6, 6)})


def test_zeros_belong_to_layers_of_the_network():
    with pytest.raises(WorkloadError, match="net: no layer 'b'"):
        network(relu("a", "image"), zeros={"b": Zeros("a paper", weight_density=0.5)})
    with pytest.raises(WorkloadError, match=r"layer 'a': only conv, fc, .* have non-zeros, not activation"):
        network(relu("a", "image"), zeros={"a": Zeros("a paper", weight_density=0.5)})


def test_the_columns_of_a_row_are_features_of_its_step():
    shapes = {"spectrum": (32, 101, 41), "states": (8, 5, 1)}
    assert joined_shape("x", "lstm", ("spectrum",), shapes) == (1312, 101, 1)
    assert joined_shape("x", "rnn", ("states",), shapes) == (8, 5, 1)


ATTENTION = {"q": (6, 5, 1), "k": (6, 4, 1), "p": (8, 5, 1), "v": (6, 4, 1), "image": (6, 2, 2)}


@pytest.mark.parametrize(
    ("inputs", "mode", "kernels"),
    [
        (("q", "k"), "transposed", 8),  # 2 heads, a kernel for each of 4 keys
        (("p", "v"), "product", 6),  # a kernel for each of 6 channels of values
        (("q", "image"), "transposed", 8),  # the positions of a plane, row by row
        (("p", "image"), "product", 6),
        (("q", "q"), "transposed", 10),
    ],
)
def test_the_second_input_of_a_matmul_holds_the_kernels(inputs, mode, kernels):
    assert matmul_kernels("m", inputs, mode, 2, ATTENTION) == kernels


@pytest.mark.parametrize(
    ("inputs", "mode", "message"),
    [
        (("q", "p"), "transposed", "A times B^T needs equal channels, not 6x5x1 and 8x5x1"),
        (("q", "v"), "product", "A times B needs 8 channels of A, heads x positions of B, not 6x5x1 and 6x4x1"),
    ],
)
def test_shapes_that_do_not_multiply_are_refused(inputs, mode, message):
    with pytest.raises(WorkloadError) as error:
        matmul_kernels("m", inputs, mode, 2, ATTENTION)
    assert str(error.value) == f"layer 'm': inputs = {list(inputs)}: {message}"


def test_a_matmul_has_as_many_kernels_as_its_second_input():
    inputs = {"q": (6, 5, 1), "k": (6, 4, 1)}
    network(Layer("m", "matmul", ("q", "k"), (6, 5, 1), 8, groups=2, mode="transposed"), inputs=inputs)
    with pytest.raises(WorkloadError, match="layer 'm': K = 10: its second input has 8"):
        network(Layer("m", "matmul", ("q", "k"), (6, 5, 1), 10, groups=2, mode="transposed"), inputs=inputs)
