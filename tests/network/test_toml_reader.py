"""What the reader makes of a file, and every mistake as one line with file, layer, key, value and what is allowed."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.errors import ArchmodelError, ConfigError, WorkloadError
from archmodel.exchange import read_network
from archmodel.network import PublishedTotal
from archmodel.network.entries import ConvEntry, PoolEntry, SliceEntry
from archmodel.network.layer import KINDS, MAX_WORDS

HEAD = """
title = "A test network"
source = "made up"
zeros_source = "stated"
[inputs]
image = [3, 8, 8]
"""
CONV = """
[[layers]]
name = "conv1"
kind = "conv"
K = 4
kernel = 3
"""


def layer(**keys):
    """A [[layers]] table; json spells these values as TOML does."""
    return "\n[[layers]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def chain(repeat, layers, more=""):
    """A [[layers]] table that repeats the inline tables of ``layers``."""
    return f"\n[[layers]]\nrepeat = {repeat}\n{more}\nlayers = [{layers}]\n"


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read a text as the network file ``net.toml``."""
    monkeypatch.chdir(tmp_path)

    def read_text(text):
        (tmp_path / "net.toml").write_text(text)
        return read_network("net.toml")

    return read_text


def test_inputs_default_to_the_layer_above_and_the_only_network_input(read):
    network = read(HEAD + CONV + layer(name="relu1", kind="activation") + layer(name="fc", kind="fc", K=10))
    assert network.name == "net"
    assert [one.inputs for one in network.layers] == [("image",), ("conv1",), ("relu1",)]
    assert [one.output_shape for one in network.layers] == [(4, 6, 6), (4, 6, 6), (10, 1, 1)]
    assert network.layer("relu1").mode == "relu"
    assert network.zeros == {}


def test_arrays_of_tables_and_lists_of_inline_tables_are_the_same_network(read):
    head = HEAD.replace("[inputs]\nimage = [3, 8, 8]", "inputs = {image = [3, 8, 8]}")
    inline = head + 'layers = [{name = "conv1", kind = "conv", K = 4, kernel = 3}]\n'
    assert read(inline) == read(HEAD + CONV)


def test_one_number_means_both_directions_and_all_sides(read):
    network = read(
        HEAD
        + CONV
        + "padding = 1\nstride = 2\n"
        + layer(name="b", kind="conv", K=2, kernel=[1, 2], stride=[1, 2], padding=[0, 1], dilation=[1, 3], bias=False)
        + layer(name="c", kind="pool", kernel=2, padding=[1, 0, 0, 1], mode="average", ceil=True)
        + layer(name="d", kind="slice", rows=[1, 3])
        + layer(name="e", kind="norm")
        + layer(name="f", kind="fc", K=2, bias=False)
    )
    first, second, third, fourth, fifth, sixth = network.layers
    assert (first.stride, first.padding) == ((2, 2), (1, 1, 1, 1))
    assert (second.R, second.S, second.stride, second.padding) == (1, 2, (1, 2), (0, 0, 1, 1))
    assert (second.dilation, second.bias) == ((1, 3), False)
    assert (third.padding, third.mode, third.ceil) == ((1, 0, 0, 1), "average", True)
    assert fourth.window == ((0, 2), (1, 3), (0, third.Q))
    assert fifth.mode == "lrn"
    assert not sixth.bias


def test_zeros_take_the_source_of_the_file_unless_they_name_one(read):
    network = read(
        HEAD
        + CONV
        + "weight_nonzeros = 7\ninput_density = 1\n"
        + layer(name="fc", kind="fc", K=2, weight_density=0.25, output_density=0.5, zeros_source="a paper")
    )
    assert network.zeros["conv1"].source == "stated"
    assert (network.zeros["conv1"].weight_nonzeros, network.zeros["conv1"].input_density) == (7, 1.0)
    assert network.zeros["fc"].source == "a paper"
    assert (network.zeros["fc"].weight_density, network.zeros["fc"].output_density) == (0.25, 0.5)


def test_a_mask_is_found_beside_the_network(read, tmp_path):
    (tmp_path / "masks.npz").touch()
    network = read(HEAD + CONV + 'weight_mask = "masks.npz:conv1"\n')
    file, key = network.weight_mask_file("conv1")
    assert (file.resolve(), key) == ((tmp_path / "masks.npz").resolve(), "conv1")
    assert read(HEAD + CONV).weight_mask_file("conv1") is None


def test_a_file_may_have_ten_thousand_layers_and_no_more(read):
    lines = 'inputs = {x = [1, 1, 1]}\ntitle = "t"\nsource = "s"\nlayers = [\n'
    lines += "".join(f'{{name = "r{index}", kind = "activation"}},\n' for index in range(10_001))
    with pytest.raises(ConfigError, match=r"^net.toml: layers.*must have at most 10000 values$"):
        read(lines + "]")
    assert len(read(lines.replace('{name = "r0", kind = "activation"},\n', "") + "]").layers) == 10_000


def test_a_chain_is_repeated_each_repetition_reading_the_one_above(read):
    pair = (
        "{name = 'conv2_{}', kind = 'conv', K = 4, kernel = 3, padding = 1}, {name = 'relu2_{}', kind = 'activation'}"
    )
    network = read(HEAD + CONV + chain(3, pair) + layer(name="pool", kind="pool", kernel=2, inputs=["relu2_2"]))
    assert [one.name for one in network.layers] == [
        "conv1",
        *("conv2_1", "relu2_1", "conv2_2", "relu2_2", "conv2_3", "relu2_3"),
        "pool",
    ]
    assert [one.inputs[0] for one in network.layers] == [
        "image",
        *("conv1", "conv2_1", "relu2_1", "conv2_2", "relu2_2", "conv2_3"),
        "relu2_2",
    ]
    by_hand = "".join(
        layer(name=f"conv2_{index}", kind="conv", K=4, kernel=3, padding=1)
        + layer(name=f"relu2_{index}", kind="activation")
        for index in (1, 2, 3)
    )
    assert network == read(HEAD + CONV + by_hand + layer(name="pool", kind="pool", kernel=2, inputs=["relu2_2"]))


def test_a_repetition_may_read_itself_and_the_one_before_by_number(read):
    block = "{name = 'block{}/conv', kind = 'conv', K = 4, kernel = 1, inputs = ['sum{-1}']},"
    block += "{name = 'sum{}', kind = 'add', inputs = ['block{}/conv', 'sum{-1}']}"
    network = read(HEAD + CONV.replace("conv1", "sum1") + chain(2, block, "first = 2"))
    assert [one.name for one in network.layers] == ["sum1", "block2/conv", "sum2", "block3/conv", "sum3"]
    assert network.layer("sum2").inputs == ("block2/conv", "sum1")
    assert network.layer("block3/conv").inputs == ("sum2",)
    assert network.layer("sum3").inputs == ("block3/conv", "sum2")


def test_a_slice_keeps_what_it_does_not_name(read):
    head = HEAD.replace("[3, 8, 8]", "[5, 8, 6]")
    for axis, shape in (("channels", (2, 8, 6)), ("rows", (5, 2, 6)), ("cols", (5, 8, 2))):
        assert read(head + layer(name="s", kind="slice", **{axis: [2, 4]})).layer("s").output_shape == shape


def test_repetitions_count_as_the_layers_that_they_make(read):
    text = HEAD + CONV + chain(4_999, "{name = 'a{}', kind = 'activation'}, {name = 'b{}', kind = 'dropout'}")
    assert len(read(text).layers) == 9_999
    text += layer(name="c", kind="activation")
    assert len(read(text).layers) == 10_000
    with pytest.raises(WorkloadError, match=r"^net.toml: layers: 10001 with their repetitions, must be at most 10000$"):
        read(text + layer(name="d", kind="activation"))


def test_a_network_with_several_inputs_says_which_its_first_layer_reads(read):
    head = HEAD + "depth = [1, 8, 8]\n"
    both = layer(name="both", kind="concat", inputs=["image", "depth"])
    assert read(head + both).layer("both").output_shape == (4, 8, 8)
    with pytest.raises(
        WorkloadError, match=r"^net.toml: layer 'conv1': inputs: is missing; allowed: 'image', 'depth'$"
    ):
        read(head + CONV)


def test_an_other_has_the_shape_that_the_file_says(read):
    made = layer(name="up", kind="other") + "shape = [2, 9, 7]\n"
    network = read(HEAD + CONV + made + layer(name="gate", kind="multiply", inputs=["up", "up"]))
    assert network.layer("up").inputs == ("conv1",)
    assert network.layer("gate").output_shape == network.layer("up").output_shape == (2, 9, 7)


# The text after the head, what the message begins with after "net.toml: ", and what else it says.
MISTAKES = {
    "unknown key of a layer": (
        CONV + "kernal = 3\n",
        "layers[conv1].kernal = 3: unknown key",
        "did you mean 'kernel'?",
    ),
    "key of another kind": (
        layer(name="p", kind="pool", kernel=2, K=3),
        "layers[p].K = 3: unknown key",
        "allowed: name, kind, inputs, kernel, stride, padding, mode, ceil",
    ),
    "unknown kind": (layer(name="a", kind="convolve"), "layers[a].kind = 'convolve': must be", "'fc', 'lstm', 'gru'"),
    "no kind": (layer(name="a"), "layers[a].kind", "required key is missing"),
    "no name": (layer(kind="conv", K=1, kernel=1), "layers[0].name", "required key is missing"),
    "name with a space": (layer(name="a b", kind="softmax"), "layer 'a b': name must be 1 to 128 letters", ""),
    "missing K": (layer(name="a", kind="conv", kernel=1), "layers[a].K", "required key is missing"),
    "missing kernel": (layer(name="a", kind="conv", K=1), "layers[a].kernel", "required key is missing"),
    "kernel as text": (
        layer(name="a", kind="conv", K=1, kernel="3x3"),
        "layers[a].kernel = '3x3': must be a whole number",
        "",
    ),
    "kernel of three": (
        layer(name="a", kind="conv", K=1, kernel=[1, 2, 3]),
        "layers[a].kernel = [1, 2, 3]: must be",
        "list of 2",
    ),
    "padding of three": (
        CONV + "padding = [1, 2, 3]\n",
        "layers[conv1].padding = [1, 2, 3]: must be",
        "a list of 2 or 4",
    ),
    "fractional stride": (CONV + "stride = 1.5\n", "layers[conv1].stride = 1.5: must be a whole number", ""),
    "true as stride": (CONV + "stride = true\n", "layers[conv1].stride = true: must be a whole number", ""),
    "empty stride": (CONV + "stride = []\n", "layers[conv1].stride = []: must be a whole number", ""),
    "K as text": (layer(name="a", kind="fc", K="4"), "layers[a].K = '4': must be an integer", ""),
    "zero channels": (layer(name="a", kind="fc", K=0), "layer 'a': K = 0: must be from 1 to 2147483648", ""),
    "huge channels": (
        layer(name="a", kind="fc", K=10**23),
        f"layer 'a': K = {10**23}: must be from 1 to 2147483648",
        "",
    ),
    "zero stride": (CONV + "stride = 0\n", "layer 'conv1': stride = [0, 0]: must be from 1 to 2147483648", ""),
    "negative padding": (CONV + "padding = -1\n", "layer 'conv1': padding = [-1, -1, -1, -1]: must be from 0", ""),
    "unknown producer": (
        CONV + layer(name="r", kind="activation", inputs=["conv2"]),
        "layer 'r': inputs = ['conv2']: 'conv2' is no layer or network input",
        "did you mean 'conv1'?",
    ),
    "forward reference": (
        layer(name="r", kind="activation", inputs=["conv1"]) + CONV + "inputs = ['r']\n",
        "layer 'r': inputs = ['conv1']: 'conv1' stands below or is itself",
        "a layer reads network inputs and layers above it",
    ),
    "cycle of one": (
        layer(name="r", kind="activation", inputs=["r"]),
        "layer 'r': inputs = ['r']: 'r' stands below or is",
        "",
    ),
    "no inputs": (
        layer(name="r", kind="activation", inputs=[]),
        "layer 'r': inputs = []: activation must have one",
        "",
    ),
    "join of one": (
        CONV + layer(name="j", kind="concat"),
        "layer 'j': inputs = ['conv1']: concat must have two or more",
        "",
    ),
    "kernel too large": (
        layer(name="a", kind="conv", K=1, kernel=11, padding=1),
        "layer 'a': kernel = [11, 11]: must be at most the padded input, [10, 10]",
        "",
    ),
    "pool too large": (
        layer(name="a", kind="pool", kernel=[9, 2]),
        "layer 'a': kernel = [9, 2]: must be at most the padded input, [8, 8]",
        "",
    ),
    "pool padded too much": (
        layer(name="a", kind="pool", kernel=2, padding=2),
        "layer 'a': padding = [2, 2, 2, 2]: must be",
        "[2, 2]",
    ),
    "unknown mode": (
        layer(name="a", kind="pool", kernel=2, mode="avrage"),
        "layer 'a': mode = 'avrage': must be max or average",
        "did you mean 'average'?",
    ),
    "repeated name": (CONV + CONV + "padding = 1\n", "layer 'conv1': name is already taken", ""),
    "name of an input": (
        layer(name="image", kind="softmax", inputs=["image"]),
        "layer 'image': name is already taken",
        "",
    ),
    "other planes": (
        CONV + layer(name="j", kind="concat", inputs=["image", "conv1"]),
        "layer 'j': inputs = ['image', 'conv1']: concat needs equal planes (H, W), not 3x8x8 and 4x6x6",
        "",
    ),
    "other shapes": (
        CONV + "padding = 1\n" + layer(name="j", kind="add", inputs=["image", "conv1"]),
        "layer 'j': inputs = ['image', 'conv1']: add needs equal shapes, not 3x8x8 and 4x8x8",
        "",
    ),
    "groups do not divide": (CONV + "groups = 2\n", "layer 'conv1': groups = 2: must divide C = 3 and K = 4", ""),
    "groups of an fc": (layer(name="a", kind="fc", K=3, groups=3), "layers[a].groups = 3: unknown key", "K, bias"),
    "slice beyond": (
        layer(name="s", kind="slice", channels=[0, 4]),
        "layer 's': channels = [0, 4]: must be [from, to) with 0 <= from < to <= 3",
        "",
    ),
    "empty slice": (layer(name="s", kind="slice", cols=[2, 2]), "layer 's': cols = [2, 2]: must be [from, to)", ""),
    "slice of one": (
        layer(name="s", kind="slice", rows=2),
        "layers[s].rows = 2: must be a list of two whole numbers",
        "",
    ),
    "density above one": (
        CONV + "weight_density = 1.2\n",
        "layer 'conv1': weight_density = 1.2: must be from 0 to 1",
        "",
    ),
    "infinite density": (
        CONV + "input_density = inf\n",
        "layers[conv1].input_density = inf: must be a finite number",
        "",
    ),
    "too many nonzeros": (
        CONV + "weight_nonzeros = 109\n",
        "layer 'conv1': weight_nonzeros = 109: must be from 0 to its 108 weights",
        "",
    ),
    "two sorts of weights": (
        CONV + "weight_nonzeros = 9\nweight_density = 0.5\n",
        "layer 'conv1': weight_density = 0.5: weight_nonzeros is given already",
        "",
    ),
    "zeros of a pool": (
        layer(name="p", kind="pool", kernel=2, input_density=0.5),
        "layers[p].input_density = 0.5: unknown key",
        "",
    ),
    "source of no zeros": (
        CONV + "zeros_source = 'a paper'\n",
        "layer 'conv1': zeros_source = 'a paper': the layer states no",
        "",
    ),
    "mask without a key": (
        CONV + "weight_mask = 'a.npz'\n",
        "layer 'conv1': weight_mask = 'a.npz': must be \"file.npz:key\"",
        "",
    ),
    "mask without a file": (
        CONV + "weight_mask = 'a.npz:x'\n",
        "layer 'conv1': weight_mask = 'a.npz:x': no such file",
        "",
    ),
    "chain without layers": ("\n[[layers]]\nrepeat = 2\n", "layers[0].layers: required key is missing", ""),
    "chain of nothing": (chain(2, ""), "layers[0].layers = []: must have at least 1", ""),
    "chain without a number": (
        CONV + "\n[[layers]]\nlayers = [{name = 'a{}', kind = 'softmax'}]\n",
        "layers[1].repeat: required key is missing",
        "",
    ),
    "repeated layer": (
        CONV + "repeat = 2\n",
        "layers[conv1].name = 'conv1': unknown key",
        "repeat, first, layers",
    ),
    "no repetition": (
        chain(0, "{name = 'a{}', kind = 'softmax'}"),
        "layers[0].repeat = 0: must be at least 1",
        "",
    ),
    "endless repetition": (
        chain(1000000000, "{name = 'a{}', kind = 'softmax'}"),
        "layers[0].repeat = 1000000000: must be at most 10000",
        "",
    ),
    "half a repetition": (
        chain(0.5, "{name = 'a{}', kind = 'softmax'}"),
        "layers[0].repeat = 0.5: must be an integer",
        "",
    ),
    "negative first number": (
        chain(2, "{name = 'a{}', kind = 'softmax'}", "first = -1"),
        "layers[0].first = -1: must be at least 0",
        "",
    ),
    "repeated name without its number": (
        chain(2, "{name = 'a', kind = 'softmax'}"),
        "layers[0].layers[a].name = 'a': must contain {}, which becomes the number of the repetition",
        "",
    ),
    "number before in a name": (
        chain(2, "{name = 'a{}_{-1}', kind = 'softmax'}"),
        "layer 'a1_{-1}': name must be 1 to 128 letters",
        "",
    ),
    "chain in a chain": (
        chain(2, "{repeat = 2, layers = [{name = 'a{}', kind = 'softmax'}]}"),
        "layers[0].layers[0].name: required key is missing",
        "",
    ),
    "unknown kind in a chain": (
        chain(2, "{name = 'a{}', kind = 'softmacks'}"),
        "layers[0].layers[a{}].kind = 'softmacks': must be",
        "did you mean 'softmax'?",
    ),
    "unknown key in a chain": (
        chain(2, "{name = 'a{}', kind = 'softmax', K = 3}"),
        "layers[a1].K = 3: unknown key",
        "allowed: name, kind, inputs",
    ),
    "input in a chain that is no name": (
        chain(2, "{name = 'a{}', kind = 'softmax', inputs = [3]}"),
        "layers[a1].inputs[0] = 3: must be a string",
        "",
    ),
    "repetition before the first": (
        chain(2, "{name = 'a{}', kind = 'softmax', inputs = ['a{-1}']}"),
        "layer 'a1': inputs = ['a0']: 'a0' is no layer or network input",
        "",
    ),
    "unknown structure": (
        CONV + "structure = 'winograd'\n",
        "layer 'conv1': structure = 'winograd': must be",
        "space_to_depth:R,S",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_where_and_what_is_allowed(read, mistake):
    text, start, rest = MISTAKES[mistake]
    with pytest.raises(ArchmodelError) as caught:
        read(HEAD + text)
    message = str(caught.value)
    assert message.startswith("net.toml: " + start)
    assert rest in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("pattern", "replacement", "start"),
    [
        ("title", "titel", "net.toml: titel = 'A test network': unknown key"),
        ('title = "A test network"', "", "net.toml: title: required key is missing"),
        ("\\[3, 8, 8\\]", "[3, 8]", "net.toml: inputs.image = [3, 8]: must have at least 3 values"),
        ("\\[3, 8, 8\\]", "[3, 8, 0]", "net.toml: inputs.image[2] = 0: must be at least 1"),
        ("\\[3, 8, 8\\]", "[3, 8, 4294967296]", "net.toml: inputs.image[2] = 4294967296: must be at most 2147483648"),
        ("image = \\[3, 8, 8\\]", "", "net.toml: [inputs]: must have at least 1 values"),
        ("zeros_source = .*\n", "", "net.toml: layer 'conv1': zeros_source: is missing"),
        ('source = "made up"', 'source = ""', "net.toml: source = '': "),
        (
            "(?s)title = (.*)\\[\\[layers.*",
            "layers = []\ntitle = \\1",
            "net.toml: layers = []: must have at least 1 values",
        ),
        ("\\[inputs\\]", "[published]\nflops = 3\n[inputs]", "net.toml: published.flops = 3: unknown key"),
        ("\\[inputs\\]", "[published]\nmacs = 0\n[inputs]", "net.toml: published.macs = 0: must be at least 1"),
        ("\\[inputs\\]", "[published]\nmacs = 1.5\n[inputs]", "net.toml: published.macs = 1.5: must be a whole"),
        ("\\[inputs\\]", "[published]\nmacs = true\n[inputs]", "net.toml: published.macs = true: must be a whole"),
        ("\\[inputs\\]", "published.macs = {}\n[inputs]", "net.toml: published.macs.total: required key is missing"),
        (
            "\\[inputs\\]",
            "published.macs = {total = 3, provenance = 'rumour'}\n[inputs]",
            "net.toml: published.macs.provenance = 'rumour': must be 'primary', 'transcribed', 'computed'",
        ),
        ("\\[inputs\\]", "[inputs", "net.toml: line 5, column 8"),
        ("(?s)\\[\\[layers.*", "", "net.toml: layers: required key is missing"),
    ],
)
def test_a_mistake_at_the_top_is_one_line(read, pattern, replacement, start):
    text = re.sub(pattern, replacement, HEAD + CONV + "weight_density = 0.5\n", count=1)
    with pytest.raises(ArchmodelError) as caught:
        read(text)
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("stated", "published", "rounding"),
    [
        ("41_000_000", PublishedTotal(total=41_000_000), 500_000),
        ("41_000_007", PublishedTotal(total=41_000_007), 0.5),
        ("{total = 270_000, exact = true}", PublishedTotal(total=270_000, exact=True), 0),
        (
            "{total = 270_000, provenance = 'recalled', source = 'a paper', difference = 'why'}",
            PublishedTotal(total=270_000, provenance="recalled", source="a paper", difference="why"),
            5_000,
        ),
    ],
)
def test_a_published_total_is_a_number_or_says_where_it_is_from(read, stated, published, rounding):
    network = read(HEAD.replace("[inputs]", f"published.macs = {stated}\n[inputs]") + CONV + "weight_density = 0.5\n")
    assert network.published == {"macs": published}
    assert network.published["macs"].rounding == rounding


NAMES = st.sampled_from(["conv1", "pool1", "a{}", "a{-1}", "sum", "fc", "image", "", "a,b", "\n"])
VALUES = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([0.5, -1.0, 1e300, float("nan"), 2**31, 10**30, True, "max", "relu", {}, {"a": 1}]),
    NAMES,
    st.lists(st.one_of(st.integers(-2, 9), NAMES), max_size=5),
)
KEYS = st.sampled_from(
    [*ConvEntry.model_fields, *PoolEntry.model_fields, *SliceEntry.model_fields, "repeat", "first", "layers", "kernal"]
)
KINDS_AND_OTHERS = st.sampled_from([*KINDS, "convolution", ""])


LAYERS = st.builds(
    lambda name, kind, keys: {"name": name, "kind": kind, **keys},
    *(NAMES, KINDS_AND_OTHERS, st.dictionaries(KEYS, VALUES, max_size=5)),
)
CHAINS = st.fixed_dictionaries(
    {"repeat": st.one_of(st.integers(1, 3), VALUES), "layers": st.one_of(st.lists(LAYERS, max_size=2), VALUES)},
    optional={"first": VALUES, "kernal": VALUES},
)


@settings(max_examples=400, deadline=None)
@given(tables=st.lists(st.one_of(LAYERS, CHAINS), max_size=4))
def test_no_layers_at_all_make_a_traceback(tables):
    data = {"title": "t", "source": "s", "inputs": {"image": [3, 8, 8]}, "layers": tables}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("archmodel.config.read", lambda kind, name: (data, "net.toml"))
        try:
            layers, message = read_network("net.toml").layers, "net.toml: fine"
        except ArchmodelError as error:
            layers, message = (), str(error)
    assert message.startswith("net.toml: ")
    assert message.isprintable()
    assert all(0 < one.output_words <= MAX_WORDS for one in layers)


def test_an_unknown_network_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'squeezenat': unknown network.*did you mean 'squeezenet'\?"):
        read_network("squeezenat")


SEQUENCE = """
title = "A test network"
source = "made up"
zeros_source = "stated"
[inputs]
ids = [1, 6, 1]
"""


def test_sequence_layers_take_their_shapes_from_what_they_read(read):
    network = read(
        SEQUENCE
        + layer(name="words", kind="embedding", K=8, vocabulary=50)
        + layer(name="norm", kind="norm", mode="layer")
        + layer(name="lstm", kind="lstm", K=12, weight_density=0.1, input_density=1.0)
        + layer(name="gru", kind="gru", inputs=["norm"], K=12, bias=False, weight_nonzeros=7)
        + layer(name="gelu", kind="activation", mode="gelu")
        + layer(name="scores", kind="matmul", inputs=["lstm", "gelu"], heads=3, transpose=True, weight_density=0.5)
        + layer(name="context", kind="matmul", inputs=["scores", "lstm"], heads=3, input_density=0.5)
        + layer(name="rnn", kind="rnn", K=5)
    )
    shapes = {one.name: one.output_shape for one in network.layers}
    assert shapes == {
        **dict.fromkeys(("words", "norm"), (8, 6, 1)),
        **dict.fromkeys(("lstm", "gru", "gelu", "context"), (12, 6, 1)),
        "scores": (18, 6, 1),
        "rnn": (5, 6, 1),
    }
    assert [network.layer(name).mode for name in ("scores", "context")] == ["transposed", "product"]
    assert [network.layer(name).groups for name in ("scores", "context", "rnn")] == [3, 3, 1]
    assert [network.layer(name).bias_words for name in ("lstm", "gru", "scores", "rnn")] == [48, 0, 0, 5]
    assert network.layer("words").vocabulary == 50
    assert network.zeros["scores"].weight_density == 0.5
    assert network.zeros["context"].input_density == 0.5
    assert network.zeros["gru"].weight_nonzeros == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (layer(name="m", kind="matmul", inputs=["ids"]), "layer 'm': inputs = ['ids']: matmul must have two"),
        (
            layer(name="e", kind="embedding", K=8, vocabulary=5)
            + layer(name="m", kind="matmul", inputs=["e", "ids"], transpose=True),
            "layer 'm': inputs = ['e', 'ids']: A times B^T needs equal channels, not 8x6x1 and 1x6x1",
        ),
        (
            layer(name="e", kind="embedding", K=8, vocabulary=5) + layer(name="m", kind="matmul", inputs=["e", "e"]),
            "layer 'm': inputs = ['e', 'e']: A times B needs 6 channels of A, heads x positions of B, not 8x6x1",
        ),
        (layer(name="e", kind="embedding", K=8), "layers[e].vocabulary: required key is missing"),
        (layer(name="l", kind="lstm", K=8, kernel=3), "layers[l].kernel = 3: unknown key in [layers[l]]; allowed:"),
        (
            layer(name="m", kind="matmul", inputs=["ids", "ids"], weight_nonzeros=3),
            "unknown key in [layers[m]]; allowed: name, kind, inputs, weight_density, input_density, output_density",
        ),
        (
            layer(name="n", kind="norm", mode="layers"),
            "mode = 'layers': must be lrn or batch or layer or instance or group or rms; did you mean",
        ),
    ],
)
def test_a_mistake_in_a_sequence_layer_is_one_line(read, text, message):
    with pytest.raises(ArchmodelError) as error:
        read(SEQUENCE + text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
