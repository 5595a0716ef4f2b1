"""Shapes and sizes of single layers, by hand and against a walk over window positions; what a layer refuses."""

import random

import pytest

from archmodel.errors import WorkloadError
from archmodel.network.layer import MAX_WORDS, Layer, window_count
from archmodel.network.zeros import Zeros


def conv(K=4, shape=(3, 5, 5), R=3, S=3, **fields):
    return Layer("c", "conv", ("x",), shape, K, R, S, **fields)


def pool(shape, kernel, **fields):
    return Layer("p", "pool", ("x",), shape, shape[0], kernel, kernel, mode="max", **fields)


@pytest.mark.parametrize(
    ("layer", "rows_and_columns"),
    [
        # AlexNet conv1: (227 - 11) / 4 + 1
        (conv(shape=(3, 227, 227), R=11, S=11, stride=(4, 4)), (55, 55)),
        # rows 5 + 1 + 0 - 3 + 1, columns 5 + 2 + 1 - 3 + 1
        (conv(padding=(1, 0, 2, 1)), (4, 6)),
        # a 3x3 kernel with dilation 2 spans 5 of 7 rows; with dilation 3 it spans all 7 columns
        (conv(shape=(3, 7, 7), dilation=(2, 3)), (3, 1)),
        # positions 0, 3, 6, 9 and 0, 4, 8
        (conv(shape=(3, 10, 10), R=1, S=1, stride=(3, 4)), (4, 3)),
        (conv(shape=(1, 5, 9), R=5, S=1), (1, 9)),
        # 112 rows by 3/2: the last whole window starts at 108, Caffe adds one that hangs over the end
        (pool((1, 112, 112), 3, stride=(2, 2)), (55, 55)),
        (pool((1, 112, 112), 3, stride=(2, 2), ceil=True), (56, 56)),
        # 3 rows padded to 5 by 2/2: a third window would start at 4, where only padding is left
        (pool((1, 3, 3), 2, stride=(2, 2), padding=(1, 1, 1, 1), ceil=True), (2, 2)),
        # 4 rows padded to 6 by 3/2: the third window starts at 4 on the last row and stays
        (pool((1, 4, 4), 3, stride=(2, 2), padding=(1, 1, 1, 1), ceil=True), (3, 3)),
        (pool((1, 4, 4), 3, stride=(2, 2), padding=(1, 1, 1, 1)), (2, 2)),
        # 4 rows by 1/3: nothing is left for a third window even without padding
        (pool((1, 5, 5), 1, stride=(3, 3), ceil=True), (2, 2)),
    ],
)
def test_output_rows_and_columns_by_hand(layer, rows_and_columns):
    assert layer.output_shape == (layer.K, *rows_and_columns)


def walked_window_count(extent, kernel, stride, before, after, dilation, ceil):
    """Place windows one after the other and count those that stay."""
    end = before + extent + after
    count, start = 0, 0
    while True:
        last_word = start + dilation * (kernel - 1)
        if last_word >= end:
            hangs_over = ceil and count > 0 and (start - stride) + dilation * (kernel - 1) < end - 1
            return count + (1 if hangs_over and start < before + extent else 0)
        if ceil and start >= before + extent:
            return count
        count, start = count + 1, start + stride


def test_window_counts_equal_a_walk_over_the_positions():
    rng = random.Random(1)
    tried = 0
    while tried < 2000:
        extent, kernel, stride = rng.randint(1, 12), rng.randint(1, 5), rng.randint(1, 5)
        before, after, dilation = rng.randint(0, 3), rng.randint(0, 3), rng.randint(1, 3)
        ceil = rng.random() < 0.5
        if dilation * (kernel - 1) + 1 > extent + before + after or (ceil and max(before, after) >= kernel):
            continue
        case = (extent, kernel, stride, before, after, dilation, ceil)
        assert window_count(*case) == walked_window_count(*case), case
        tried += 1


def test_a_grouped_convolution_has_fewer_weights_and_macs():
    layer = conv(K=256, shape=(96, 27, 27), R=5, S=5, padding=(2, 2, 2, 2), groups=2)
    assert layer.weight_shape == (256, 48, 5, 5)
    assert layer.weight_words == 256 * 48 * 25
    assert layer.parameters == 307_456  # Caffe's AlexNet conv2
    assert layer.macs == 27 * 27 * 256 * 48 * 25
    assert (layer.input_words, layer.output_words) == (96 * 27 * 27, 256 * 27 * 27)


def test_macs_count_rows_and_columns_apart():
    layer = conv(K=2, shape=(3, 8, 5), R=3, S=2)
    assert layer.output_shape == (2, 6, 4)
    assert layer.macs == 2 * 6 * 4 * 3 * 3 * 2


def test_a_fully_connected_layer_has_one_mac_per_weight():
    layer = Layer("fc6", "fc", ("pool5",), (9216, 1, 1), 4096)
    assert layer.output_shape == (4096, 1, 1)
    assert layer.macs == layer.weight_words == 9216 * 4096
    assert layer.parameters == 37_752_832  # Caffe's AlexNet fc6
    assert Layer("fc6", "fc", ("pool5",), (9216, 1, 1), 4096, bias=False).parameters == 9216 * 4096


def test_layers_that_do_not_multiply_have_no_weights():
    for kind, mode in (("pool", "average"), ("norm", "lrn"), ("activation", "relu"), ("softmax", ""), ("dropout", "")):
        layer = Layer("x", kind, ("y",), (6, 4, 4), 6, mode=mode)
        assert (layer.macs, layer.weight_words, layer.bias_words, layer.parameters) == (0, 0, 0, 0)
        assert layer.output_shape == (6, 4, 4)
        assert not layer.is_compute


def test_a_batch_norm_has_a_scale_and_a_shift_per_channel():
    assert Layer("bn", "norm", ("y",), (6, 4, 4), 6, mode="batch").parameters == 12


def test_an_add_reads_all_its_inputs():
    layer = Layer("sum", "add", ("a", "b", "c"), (6, 4, 4), 6)
    assert (layer.input_words, layer.output_words) == (3 * 96, 96)


def test_a_slice_keeps_a_window():
    layer = Layer("half", "slice", ("a",), (96, 57, 57), 48, window=((48, 96), (1, 56), (0, 57)))
    assert layer.output_shape == (48, 55, 57)


def test_the_kernel_may_fill_its_padded_input_and_no_more():
    assert conv(shape=(3, 3, 3), R=5, S=3, padding=(1, 1, 0, 0)).P == 1
    with pytest.raises(
        WorkloadError, match=r"^layer 'c': kernel = \[6, 3\]: must be at most the padded input, \[5, 3\]$"
    ):
        conv(shape=(3, 3, 3), R=6, S=3, padding=(1, 1, 0, 0))
    with pytest.raises(
        WorkloadError, match=r"kernel = \[3, 3\]: spans \[3, 7\] with dilation \[1, 3\], must be at most"
    ):
        conv(shape=(3, 3, 6), dilation=(1, 3))


def test_tensors_are_bounded_so_that_macs_fit_64_bits():
    layer = Layer("fc", "fc", ("x",), (MAX_WORDS, 1, 1), 1)
    assert layer.weight_words == MAX_WORDS
    with pytest.raises(WorkloadError, match="weight words = 4294967296: must be at most 2147483648"):
        Layer("fc", "fc", ("x",), (MAX_WORDS, 1, 1), 2)
    with pytest.raises(WorkloadError, match="input words"):
        conv(shape=(2, MAX_WORDS, 1), R=1, S=1)
    with pytest.raises(WorkloadError, match="output words"):
        conv(shape=(1, MAX_WORDS, 1), R=1, S=1, K=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"K": 0}, "layer 'c': K = 0: must be from 1 to 2147483648"),
        ({"shape": (3, 0, 5)}, "layer 'c': input shape = [3, 0, 5]: must be from 1 to 2147483648"),
        ({"R": 0}, "layer 'c': kernel = [0, 3]: must be from 1 to 2147483648"),
        ({"stride": (1, 0)}, "layer 'c': stride = [1, 0]: must be from 1 to 2147483648"),
        ({"dilation": (0, 1)}, "layer 'c': dilation = [0, 1]: must be from 1 to 2147483648"),
        ({"padding": (0, 0, -1, 0)}, "layer 'c': padding = [0, 0, -1, 0]: must be from 0 to 2147483648"),
        ({"K": 2**31 + 1}, "layer 'c': K = 2147483649: must be from 1 to 2147483648"),
        ({"groups": 2}, "layer 'c': groups = 2: must divide C = 3 and K = 4"),
        ({"groups": 3, "K": 4}, "layer 'c': groups = 3: must divide C = 3 and K = 4"),
        ({"mode": "max"}, "layer 'c': mode = 'max': conv has no mode"),
        ({"window": ((0, 3), (0, 5), (0, 5))}, "layer 'c': window = ((0, 3), (0, 5), (0, 5)): is what a slice keeps,"),
    ],
)
def test_an_impossible_convolution_is_refused(fields, message):
    with pytest.raises(WorkloadError) as caught:
        conv(**fields)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "fields", "message"),
    [
        (("a b", "conv", ("x",), (1, 1, 1), 1), {}, "layer 'a b': name must be"),
        (("c", "convolution", ("x",), (1, 1, 1), 1), {}, "layer 'c': kind = 'convolution': must be one of conv, fc"),
        (("c", "conv", ("x", "y"), (1, 1, 1), 1), {}, "layer 'c': inputs = ['x', 'y']: conv must have one"),
        (("c", "add", ("x",), (1, 1, 1), 1), {}, "layer 'c': inputs = ['x']: add must have two or more"),
        (
            ("p", "pool", ("x",), (2, 4, 4), 2),
            {"mode": "maximum"},
            "layer 'p': mode = 'maximum': must be max or average",
        ),
        (("p", "pool", ("x",), (2, 4, 4), 3), {"mode": "max"}, "layer 'p': K = 3: pool keeps its channels"),
        (("f", "fc", ("x",), (2, 4, 4), 3), {}, "layer 'f': input shape = [2, 4, 4]: fc reads a flattened input"),
        (("f", "fc", ("x",), (4, 1, 1), 4), {"groups": 2}, "layer 'f': groups = 2: fc has no groups"),
        (("s", "slice", ("x",), (2, 4, 4), 2), {}, "layer 's': window = None: is what a slice keeps"),
        (
            ("s", "slice", ("x",), (2, 4, 4), 2),
            {"window": ((0, 2), (0, 5), (0, 4))},
            "layer 's': rows = [0, 5]: must be [from, to) with 0 <= from < to <= 4",
        ),
        (
            ("s", "slice", ("x",), (2, 4, 4), 2),
            {"window": ((0, 1), (0, 4), (0, 4))},
            "layer 's': K = 2: must be the number",
        ),
        (
            ("p", "pool", ("x",), (2, 4, 4), 2, 2, 2),
            {"mode": "max", "padding": (0, 2, 0, 0)},
            "layer 'p': padding = [0, 2, 0, 0]: must be below the kernel, [2, 2]",
        ),
        (
            ("p", "pool", ("x",), (2, 4, 4), 2, 3, 2),
            {"mode": "max", "padding": (2, 2, 2, 1)},
            "layer 'p': padding = [2, 2, 2, 1]: must be below the kernel, [3, 2]",
        ),
    ],
)
def test_an_impossible_layer_is_refused(arguments, fields, message):
    with pytest.raises(WorkloadError) as caught:
        Layer(*arguments, **fields)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_density": 1.2}, "weight_density = 1.2: must be from 0 to 1"),
        ({"input_density": -0.1}, "input_density = -0.1: must be from 0 to 1"),
        ({"output_density": float("nan")}, "output_density = nan: must be from 0 to 1"),
        ({"weight_density": 0.5, "weight_nonzeros": 3}, "weight_density = 0.5: weight_nonzeros is given already"),
        ({"weight_mask": "mask.npy"}, "weight_mask = 'mask.npy': must be \"file.npz:key\""),
        (
            {"structure": "space_to_depth:11,11"},
            "structure = 'space_to_depth:11,11': must be \"space_to_depth:R,S,stride\"",
        ),
        ({"source": " "}, "zeros_source: is missing"),
    ],
)
def test_impossible_zeros_are_refused(fields, message):
    with pytest.raises(WorkloadError) as caught:
        Zeros(**{"source": "a paper", **fields})
    assert str(caught.value).startswith(message)


def test_zeros_may_be_none_or_all_of_the_weights_and_no_more():
    layer = conv()
    for allowed in (0, layer.weight_words):
        Zeros("a paper", weight_nonzeros=allowed).check(layer)
    for refused in (-1, layer.weight_words + 1):
        with pytest.raises(
            WorkloadError, match=f"layer 'c': weight_nonzeros = {refused}: must be from 0 to its 108 weights"
        ):
            Zeros("a paper", weight_nonzeros=refused).check(layer)


def test_only_layers_with_weights_have_zeros():
    with pytest.raises(WorkloadError, match="structure = 'space_to_depth:1,1,1': does not make a stride-1 kernel"):
        Zeros("a paper", structure="space_to_depth:1,1,1").check(recurrent("lstm"))
    with pytest.raises(WorkloadError, match=r"layer 'p': only conv, fc, .*, matmul layers have non-zeros, not pool"):
        Zeros("a paper", input_density=0.5).check(pool((1, 4, 4), 2))


def test_a_space_to_depth_kernel_has_only_the_weights_of_the_kernel_it_was():
    layer = conv(K=96, shape=(48, 57, 57), padding=(1, 1, 1, 1))
    structure = "space_to_depth:11,11,4"
    assert Zeros("a paper", structure=structure).space_to_depth == (11, 11, 4)
    Zeros("a paper", weight_nonzeros=96 * 3 * 11 * 11, structure=structure).check(layer)
    with pytest.raises(WorkloadError, match="must be from 0 to its 34848 weights"):
        Zeros("a paper", weight_nonzeros=96 * 3 * 11 * 11 + 1, structure=structure).check(layer)
    for wrong in ("space_to_depth:13,13,4", "space_to_depth:11,11,5", "space_to_depth:6,9,2"):
        with pytest.raises(WorkloadError, match=r"does not make a stride-1 kernel \[3, 3\] over 48 channels"):
            Zeros("a paper", structure=wrong).check(layer)
    with pytest.raises(WorkloadError, match="does not make a stride-1 kernel"):
        Zeros("a paper", structure=structure).check(conv(K=96, shape=(48, 57, 57), stride=(2, 2)))


# Recurrent layers, products of two activations, look-ups


def recurrent(kind, C=10, T=7, K=6, **fields):
    return Layer("r", kind, ("x",), (C, T, 1), K, **fields)


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_a_recurrent_layer_multiplies_all_gates_at_every_step(kind, gates):
    layer = recurrent(kind)
    assert layer.is_compute
    assert layer.output_shape == (6, 7, 1)
    assert layer.weight_shape == (gates * 6, 10 + 6, 1, 1)
    assert layer.macs == 7 * gates * 6 * 16
    assert (layer.weight_words, layer.bias_words) == (gates * 6 * 16, gates * 6)
    assert layer.parameters == gates * 6 * 17
    assert recurrent(kind, bias=False).parameters == gates * 6 * 16
    assert (layer.input_words, layer.output_words) == (70, 42)
    assert layer.multiplied_shape == (16, 7, 1)


def test_keras_counts_the_parameters_of_its_lstm_alike():
    # tf.keras.layers.LSTM(128) on 64 features: 4 * ((64 + 128) * 128 + 128)
    assert recurrent("lstm", C=64, K=128).parameters == 98_816


def matmul(mode, shape, K, heads=2):
    return Layer("m", "matmul", ("a", "b"), shape, K, groups=heads, mode=mode)


@pytest.mark.parametrize(
    ("layer", "macs", "kernel_words"),
    [
        # 2 heads of 3 channels, 5 queries, 4 keys: every query meets every key of its head
        (matmul("transposed", (6, 5, 1), 8), 2 * 5 * 4 * 3, 2 * 4 * 3),
        # 2 heads of 4 weights a query, 5 queries, 3 channels of values
        (matmul("product", (8, 5, 1), 6), 2 * 5 * 4 * 3, 2 * 4 * 3),
        (matmul("product", (8, 5, 2), 6), 2 * 10 * 4 * 3, 2 * 4 * 3),
    ],
)
def test_a_matmul_has_no_parameters(layer, macs, kernel_words):
    assert layer.is_compute
    assert (layer.macs, layer.weight_words, layer.parameters, layer.bias_words) == (macs, kernel_words, 0, 0)
    assert layer.output_shape == (layer.K, *layer.input_shape[1:])
    assert layer.multiplied_shape == layer.input_shape
    assert layer.input_words == layer.C * layer.H * layer.W


def test_an_embedding_has_a_table_and_multiplies_nothing():
    layer = Layer("e", "embedding", ("ids",), (1, 9, 1), 32, vocabulary=100)
    assert not layer.is_compute
    assert (layer.parameters, layer.macs, layer.weight_words) == (3200, 0, 0)
    assert layer.output_shape == (32, 9, 1)


def test_a_layer_norm_scales_and_shifts_every_channel():
    assert Layer("n", "norm", ("x",), (12, 9, 1), 12, mode="layer").parameters == 24


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Layer("r", "lstm", ("x",), (3, 4, 2), 5), r"input shape = \[3, 4, 2\]: lstm reads steps as rows"),
        (lambda: recurrent("gru", K=0), "K = 0: must be from 1"),
        (lambda: recurrent("lstm", mode="bidirectional"), "mode = 'bidirectional': lstm has no mode"),
        (lambda: recurrent("lstm", groups=2), "groups = 2: lstm has no groups"),
        (lambda: recurrent("lstm", C=2**15, K=2**15), "weight words = 8589934592: must be at most 2147483648"),
        (lambda: matmul("transpose", (6, 5, 1), 8), "mode = 'transpose': must be product or transposed; did you mean"),
        (lambda: matmul("product", (6, 5, 1), 7), "groups = 2: must divide C = 6 and K = 7"),
        (lambda: Layer("m", "matmul", ("a",), (6, 5, 1), 8, mode="product"), "inputs = .*: matmul must have two$"),
        (lambda: Layer("m", "matmul", ("a", "b", "c"), (6, 5, 1), 8, mode="product"), "matmul must have two$"),
        (lambda: Layer("e", "embedding", ("x",), (1, 4, 1), 5), "vocabulary = 0: is the number of rows"),
        (lambda: Layer("f", "fc", ("x",), (9, 1, 1), 5, vocabulary=4), "vocabulary = 4: .* of no other kind"),
        (lambda: Layer("e", "embedding", ("x",), (2, 4, 1), 5, vocabulary=9), "embedding reads one number a position"),
        (lambda: Layer("e", "embedding", ("x",), (1, 4, 1), 2**20, vocabulary=2**20), "table words = 1099511627776"),
    ],
)
def test_an_impossible_sequence_layer_is_one_line(make, message):
    with pytest.raises(WorkloadError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def other(result, K=6, **fields):
    return Layer("o", "other", ("x",), (3, 5, 5), K, result=result, **fields)


def test_an_other_makes_what_it_says_and_multiplies_nothing():
    layer = other((6, 10, 7))
    assert (layer.output_shape, layer.output_words, layer.input_words) == ((6, 10, 7), 420, 75)
    assert (layer.is_compute, layer.macs, layer.parameters) == (False, 0, 0)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: other(None), "layer 'o': shape = None: is what an other makes, and of no other kind"),
        (lambda: other((6, 0, 1)), f"layer 'o': shape = [6, 0, 1]: must be from 1 to {MAX_WORDS}"),
        (lambda: other((5, 1, 1)), "layer 'o': K = 6: must be the number of channels that an other makes"),
        (lambda: conv(result=(4, 3, 3)), "layer 'c': shape = [4, 3, 3]: is what an other makes, and of no other kind"),
    ],
)
def test_what_an_other_makes_is_given(make, line):
    with pytest.raises(WorkloadError) as error:
        make()
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("mode", "vectors"), [("lrn", 0), ("rms", 1), ("batch", 2), ("layer", 2), ("instance", 2), ("group", 2)]
)
def test_a_norm_has_a_scale_and_most_a_shift(mode, vectors):
    assert Layer("n", "norm", ("x",), (3, 5, 5), 3, mode=mode).parameters == vectors * 3


def test_a_multiply_reads_all_its_inputs_and_has_no_macs():
    layer = Layer("m", "multiply", ("x", "y"), (3, 5, 5), 3)
    assert (layer.input_words, layer.output_shape, layer.macs) == (150, (3, 5, 5), 0)
