"""Topology files of SCALE-Sim: both forms by hand, its own counts of windows and products, files that are damaged."""

import math
import random
from contextlib import suppress

import pytest

from archmodel.cli.main import run
from archmodel.errors import ArchmodelError
from archmodel.exchange import read_network
from archmodel.network import Layer

HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"


@pytest.fixture
def read(tmp_path):
    def of(text, encoding="utf-8"):
        path = tmp_path / "topology.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return read_network(path)

    return of


def refused(read, text):
    with pytest.raises(ArchmodelError) as error:
        read(text)
    message = str(error.value)
    assert "\n" not in message
    return message.partition("topology.csv: ")[2]


def test_a_row_is_a_convolution_over_an_input_that_is_padded_already(read):
    (layer,) = read(f"{HEADER}\nConv1, 227, 225, 11, 9, 3, 96, 4,\n").layers
    assert layer == Layer("Conv1", "conv", ("Conv1/ifmap",), (3, 227, 225), 96, 11, 9, stride=(4, 4), bias=False)


def windows(extent, kernel, stride):
    """SCALE-Sim's own rule, topology_utils.topo_calc_hyperparams: the number of windows is rounded up."""
    return math.ceil((extent - kernel + stride) / stride)


def test_products_are_those_that_scale_sim_counts(read):
    rng = random.Random(7)
    rows = []
    for number in range(200):
        R, S, stride = rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 6)
        rows.append((f"c{number}", R + rng.randint(0, 9), S + rng.randint(0, 9), R, S, 3, rng.randint(1, 9), stride))
    layers = read(HEADER + "\n" + "".join(",".join(map(str, row)) + ",\n" for row in rows)).layers
    for layer, (name, H, W, R, S, C, K, stride) in zip(layers, rows, strict=True):
        assert layer.macs == windows(H, R, stride) * windows(W, S, stride) * R * S * C * K, name
        assert layer.parameters == K * C * R * S


def test_a_filter_as_large_as_its_input_is_a_fully_connected_layer(read):
    six, one = read(f"{HEADER}\nFC6, 6, 6, 6, 6, 256, 4096, 1,\nFC7, 1, 1, 1, 1, 4096, 10, 1,\n").layers
    assert (six.kind, six.input_shape, six.K) == ("fc", (9216, 1, 1), 4096)
    assert (one.kind, one.inputs) == ("fc", ("FC6",))


def test_rows_are_joined_only_where_the_shapes_agree(read):
    network = read(f"{HEADER}\na, 8, 8, 3, 3, 2, 4, 1,\nb, 6, 6, 1, 1, 4, 5, 1,\nc, 8, 8, 3, 3, 5, 1, 1,\n")
    assert [layer.inputs for layer in network.layers] == [("a/ifmap",), ("a",), ("c/ifmap",)]
    assert network.inputs == {"a/ifmap": (2, 8, 8), "c/ifmap": (5, 8, 8)}


def test_dp_in_a_name_is_a_filter_on_every_channel(read):
    (layer,) = read(f"{HEADER}\nConv2_DP, 10, 10, 3, 3, 16, 2, 1,\n").layers
    assert (layer.groups, layer.K, layer.macs) == (16, 32, 64 * 9 * 16 * 2)
    assert layer.bias_words == 0
    (other,) = read(f"{HEADER}\nConv2_dw, 10, 10, 3, 3, 1, 1, 1,#dw\n").layers
    assert (other.groups, other.K) == (1, 1)


@pytest.mark.parametrize("header", ["Layer,M,N,K,", "Layer Name, M, N, K, Sparsity,", "one, two, three, four"])
def test_a_product_is_a_filter_for_every_column_over_the_rows(read, header):
    network = read(f"{header}\nL0,196,192,384,\nL1,196,10,192,\nL2,1,10,64,\n")
    first, second, third = network.layers
    assert (first.kind, first.input_shape, first.output_shape) == ("conv", (384, 196, 1), (192, 196, 1))
    assert [layer.macs for layer in network.layers] == [196 * 192 * 384, 196 * 10 * 192, 640]
    assert (second.inputs, third.kind) == (("L0",), "fc")


def test_a_fifth_number_of_a_product_is_its_batch_of_filters(read):
    (layer,) = read("Layer, M, N, K, Batch\nqk, 8, 4, 3, 5,\n").layers
    assert (layer.groups, layer.macs, layer.weight_words) == (5, 5 * 8 * 4 * 3, 5 * 4 * 3)


def test_the_ninth_number_of_a_convolution_is_the_stride_along_columns(read):
    (layer,) = read(f"{HEADER} Stride width,\na, 9, 9, 3, 3, 1, 1, 2, 3,\n").layers
    assert (layer.stride, layer.output_shape) == ((2, 3), (1, 4, 3))


def test_a_ninth_number_that_the_header_calls_a_batch_is_one(read):
    (layer,) = read(f"{HEADER} Batch Size,\na, 9, 9, 3, 3, 1, 1, 2, 1,\n").layers
    assert layer.stride == (2, 2)
    message = refused(read, f"{HEADER} Batch Size,\na, 9, 9, 3, 3, 1, 1, 2, 4,\n")
    assert message == "line 2: batch = 4: must be 1; --batch says how many images a run has"


def test_a_product_may_be_written_as_a_convolution_of_one_channel(read):
    rows = ("a, 9, 16, 1, 16, 1, 5, 1", "b, 9, 5, 1, 5, 1, 7, 1", "c, 1, 8, 1, 8, 1, 3, 1, 1:2")
    as_convolutions = read("\n".join([HEADER, *rows]))
    as_products = read("Layer,M,N,K\na,9,5,16\nb,9,7,5\nc,1,3,8,1:2\n")
    assert as_convolutions == as_products
    others = ("a, 9, 16, 1, 16, 1, 5, 2", "b, 9, 16, 2, 16, 1, 5, 1", "c, 9, 16, 1, 16, 2, 5, 1")
    layers = read("\n".join([HEADER, *others, "d, 9, 16, 1, 8, 1, 5, 1"])).layers
    assert [(layer.R, layer.S) for layer in layers] == [(1, 16), (2, 16), (1, 16), (1, 8)]


def test_sparsity_is_a_stated_density_of_the_weights(read):
    network = read(f"{HEADER} Sparsity,\na, 8, 8, 3, 3, 2, 4, 1, 1:4,\nb, 8, 8, 3, 3, 2, 4, 1, 1,\n")
    assert network.zeros["a"].weight_density == 0.25
    assert "1:4" in network.zeros["a"].source
    assert "b" not in network.zeros
    assert read("Layer,M,N,K,Sparsity\na,2,2,2,2:4\n").zeros["a"].weight_density == 0.5


def test_what_is_around_the_numbers_does_not_matter(read):
    plain = read(f"{HEADER}\na, 8, 8, 3, 3, 2, 4, 1,\nb, 7, 7, 1, 1, 5, 5, 1,\n").layers
    body = '\r\n,,,\r\n\ta,8,8 , 3,3,2,4,1\r\n"b", 7,7,1,1,5,5,1,# last, 9\r\n,,,,\r\n'
    assert read("\ufeff" + HEADER + body).layers == plain


def test_an_unusual_header_leaves_it_to_the_number_of_cells(read):
    assert read("what,the,work,is\na,8,8,3,3,2,4,1\n").layers[0].R == 3
    assert read("what,the,work,is\na,8,4,3\n").layers[0].weight_shape == (4, 3, 1, 1)
    assert read("what,the,work,is\na,8,4,3,2\n").layers[0].groups == 2


def test_as_many_layers_as_a_network_may_have(read):
    assert len(read("Layer,M,N,K\n" + "a,2,1,1\n" * 10_000).layers) == 10_000


def test_a_topology_is_run_and_shown(tmp_path, capsys):
    path = tmp_path / "topology.csv"
    path.write_text(f"{HEADER}\na, 8, 8, 3, 3, 2, 4, 2, 2:4,\nb, 4, 4, 1, 1, 4, 5, 1,\n")
    densities = ["--activations", "density=0.5", "--weights"]
    assert run(["sim", "--arch", "tpu_v1", "--net", str(path), *densities, "density=0.25", "--check"]) == 0
    assert run(["sim", "--arch", "scnn", "--net", str(path), *densities, "network", "--layers", "a", "--json"]) == 0
    assert run(["show", str(path)]) == 0
    assert "stated: sparsity 2:4 of topology.csv" in capsys.readouterr().out


def test_names_are_made_possible_and_numbered(read):
    network = read("Layer,M,N,K\nQ K^T,2,2,2\nQ K^T,3,3,4\n,5,5,6\n")
    assert [layer.name for layer in network.layers] == ["Q_K_T", "Q_K_T.2", "unnamed"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows; a SCALE-Sim topology has a header and a row for every layer"),
        (HEADER, "has a header and no layers"),
        ("a, 8, 8, 3, 3, 2, 4, 1,", "line 1: is a layer; the first line must be a header, SCALE-Sim skips it"),
        (f"{HEADER}\n\na, 8, 8, 3,", "line 3: 4 cells; allowed: name, IFMAP height, IFMAP width,"),
        ("x,y\na,1,2\n", "line 2: 3 cells; allowed: name, IFMAP height, IFMAP width,"),
        ("Layer,M,K,N\na,1,2,3\n", "line 1: columns M, K, N; allowed: M, N, K"),
        ("Layer,M,K,N,Sparsity\na,1,2,3\n", "line 1: columns M, K, N; allowed: M, N, K"),
        (f"{HEADER}\na, 8, 8, 9, 3, 2, 4, 1,", "line 2: filter 9 x 3 is larger than the IFMAP, 8 x 8"),
        (f"{HEADER}\na, 2, 8, 3, 3, 2, 4, 2,", "line 2: filter 3 x 3 is larger than the IFMAP, 2 x 8"),
        (f"{HEADER}\na, 8, 8, 3, 3, 0, 4, 1,", "line 2: channels = '0': must be a whole number from 1"),
        (f"{HEADER}\na, 8, 8, 3, 3, 2.5, 4, 1,", "line 2: channels = '2.5': must be a whole number from 1"),
        (f"{HEADER}\na, 8, -8, 3, 3, 2, 4, 1,", "line 2: IFMAP width = '-8': must be a whole number from 1"),
        (f"{HEADER}\na, 8, 8, 3, 3, 2, ٤, 1,", "line 2: filters = '٤': must be a whole number from 1"),
        (f"{HEADER}\na, 8, 8, 3, 3, 2, {'9' * 5000}, 1,", "line 2: filters = '999"),
        (f"{HEADER}\na, 8, 8, 3, 3, 2, 9999999999, 1,", "line 2: layer 'a': K = 9999999999: must be from 1 to"),
        ("Layer,M,N,K\na,2000000000,3,2000000000\n", "line 2: layer 'a': input words ="),
        ("Layer,M,N,K\na,2,2,2,3:2\n", "line 2: sparsity 3:2: N:M must have N from 0 to M, M from 1"),
        ("Layer,M,N,K\na,2,2,2,0:0\n", "line 2: sparsity 0:0: N:M must have N from 0 to M, M from 1"),
        ("Layer,M,N,K,Sparsity\na,2,2,2,0.5\n", "line 2: sparsity '0.5': must be N:M, N non-zeros in M weights"),
        ("Layer,M,N,K\na,2,2,2,2,2\n", "line 2: '2': one cell too many"),
        ("Layer,M,N,K\n" + "a,1,1,1\n" * 10_001, "10001 layers; must be at most 10000"),
        (b"Layer,M,N,K\n\xff,1,1,1\n", "not UTF-8 text (byte 12)"),
    ],
)
def test_a_file_that_cannot_be_is_one_line(read, text, message):
    assert refused(read, text).startswith(message)


def test_damage_to_a_file_ends_in_nothing_but_errors_of_a_user(read):
    rng = random.Random(3)
    whole = f"{HEADER} Sparsity\na, 8, 8, 3, 3, 2, 4, 1, 2:4\nb_DP, 7, 7, 1, 1, 5, 5, 1,\n".encode()
    for _ in range(500):
        damaged = bytearray(whole[: rng.randint(1, len(whole))])
        for _ in range(rng.randint(0, 4)):
            damaged[rng.randrange(len(damaged))] = rng.choice(b"\0\n,:9-#\"\xff")
        with suppress(ArchmodelError):
            read(bytes(damaged))


@pytest.mark.parametrize(("make", "message"), [("mkdir", "is a folder, not a .csv file"), (None, "no such file")])
def test_what_is_no_file_is_one_line(tmp_path, make, message):
    path = tmp_path / "x.csv"
    if make:
        path.mkdir()
    with pytest.raises(ArchmodelError, match=message):
        read_network(path)
