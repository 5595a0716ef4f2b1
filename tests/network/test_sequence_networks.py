"""Text, speech, translation and transformer networks: shapes and totals from the published sizes, by hand."""

import pytest

from archmodel.exchange import read_network

NAMES = ("sentence_cnn", "char_cnn", "neuraltalk", "deep_speech_2", "gnmt", "bert_base")


def conv(K, C, *kernel, bias=True):
    """Parameters of a convolution."""
    words = K * C
    for extent in kernel:
        words *= extent
    return words + (K if bias else 0)


def lstm(C, K):
    """Parameters of an LSTM with one bias vector a gate."""
    return 4 * K * (C + K + 1)


SENTENCE_CNN = sum(conv(100, 300, width) for width in (3, 4, 5)) + conv(2, 300)
CHAR_CNN = (
    conv(256, 70, 7) + conv(256, 256, 7) + 4 * conv(256, 256, 3)
    + conv(1024, 34 * 256) + conv(1024, 1024) + conv(4, 1024)
)  # fmt: skip
# EIE's NT-LSTM is 1201 x 2400: the bias is one more input.
NEURALTALK = conv(600, 4096) + 1201 * 2400 + conv(8791, 600)
# Tuckute et al., PLOS Biology 2023, Table 5; batch norms before LSTMs 2 to 5 and the classifier have 1,024 features.
DEEP_SPEECH_2 = (
    conv(32, 1, 41, 11) + conv(32, 32, 21, 11) + 2 * 2 * 32 + 2 * lstm(1312, 1024) + 8 * lstm(1024, 1024)
    + 5 * 2 * 1024 + conv(29, 1024, bias=False)
)  # fmt: skip
GNMT_LSTMS = {
    **dict.fromkeys(("encoder1_forward", "encoder1_backward", "decoder1"), 1024),
    **dict.fromkeys(("encoder2", "decoder2"), 2048),
    **{f"encoder{index}_lstm": 1024 for index in range(3, 9)},
    **{f"decoder{index}_lstm": 2048 for index in range(3, 9)},
}
GNMT = sum(lstm(C, 1024) for C in GNMT_LSTMS.values()) + 2 * 1024**2 + 2 * 32_000 * 1024 + conv(32_000, 1024)
BERT_BASE = 109_482_240  # bert-base-uncased as published in Hugging Face's transformers, with the pooler


@pytest.mark.parametrize(
    ("name", "parameters"),
    list(zip(NAMES, (SENTENCE_CNN, CHAR_CNN, NEURALTALK, DEEP_SPEECH_2, GNMT, BERT_BASE), strict=True)),
    ids=NAMES,
)
def test_parameters_follow_from_the_published_sizes(name, parameters):
    assert read_network(name).parameters == parameters


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("sentence_cnn", sum((64 - width + 1) * 100 * 300 * width for width in (3, 4, 5)) + 300 * 2),
        (
            "char_cnn",
            1008 * 256 * 70 * 7 + 330 * 256 * 256 * 7 + (108 + 106 + 104 + 102) * 256 * 256 * 3
            + 8704 * 1024 + 1024 * 1024 + 1024 * 4,
        ),
        ("neuraltalk", 4096 * 600 + 1200 * 2400 + 600 * 8791),
        (
            "deep_speech_2",
            101 * 81 * 32 * 41 * 11 + 101 * 41 * 32 * 32 * 21 * 11
            + 101 * (2 * 4096 * (1312 + 1024) + 8 * 4096 * 2048) + 101 * 1024 * 29,
        ),
        (
            "gnmt",
            32 * 4096 * sum(C + 1024 for C in GNMT_LSTMS.values())
            + 32 * 2 * 1024**2 + 2 * 32 * 32 * 1024 + 32 * 1024 * 32_000,
        ),
        # A token of a block: four projections, two feed-forward layers; scores and weighted values of 128 tokens.
        ("bert_base", 12 * 128 * (4 * 768**2 + 2 * 768 * 3072 + 2 * 128 * 768) + 768**2),
    ],
    ids=NAMES,
)  # fmt: skip
def test_macs_follow_from_the_published_sizes(name, macs):
    assert read_network(name).macs == macs


def test_bert_has_110_million_parameters_of_which_85_are_in_the_blocks():
    network = read_network("bert_base")
    blocks = sum(layer.parameters for layer in network.layers if "/" in layer.name and layer.name != "block0/norm")
    assert blocks == 12 * (4 * conv(768, 768) + conv(3072, 768) + conv(768, 3072) + 2 * 2 * 768) == 85_054_464
    assert round(network.parameters / 1e6) in range(105, 115)  # published to the ten million: 110 M


def test_an_attention_head_of_bert_is_64_wide():
    network = read_network("bert_base")
    scores, context = network.layer("block1/scores"), network.layer("block12/context")
    assert scores.weight_shape == (12 * 128, 64, 1, 1)
    assert scores.output_shape == (12 * 128, 128, 1)
    assert context.weight_shape == (768, 128, 1, 1)
    assert context.output_shape == (768, 128, 1)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "weight_density"),
    [("We", 4096, 600, 0.10), ("LSTM", 1201, 2400, 0.10), ("Wd", 600, 8791, 0.11)],
)
def test_neuraltalk_has_the_matrices_of_eie(name, inputs, outputs, weight_density):
    """Han et al., ISCA 2016, Table III; the bias of the LSTM is one more input there."""
    network = read_network("neuraltalk")
    layer, zeros = network.layer(name), network.zeros[name]
    bias_row = 1 if layer.kind == "lstm" else 0
    assert (layer.weight_shape[1] + bias_row, layer.weight_shape[0]) == (inputs, outputs)
    assert (zeros.weight_density, zeros.input_density) == (weight_density, 1.0)


# Tuckute et al., PLOS Biology 2023, Table 5: channels, frequencies, time.
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv1", (32, 81, 101)),
        ("bn1", (32, 81, 101)),
        ("hardtanh1", (32, 81, 101)),
        ("conv2", (32, 41, 101)),
        ("hardtanh2", (32, 41, 101)),
        *((f"lstm{index}", (1024, 1, 101)) for index in range(1, 6)),
        ("fc", (29, 1, 101)),
    ],
)
def test_deep_speech_has_the_shapes_of_the_published_table(name, shape):
    channels, steps, frequencies = read_network("deep_speech_2").layer(name).output_shape
    assert (channels, frequencies, steps) == shape


def test_both_directions_of_deep_speech_read_the_same_features():
    network = read_network("deep_speech_2")
    for index in range(1, 6):
        forward, backward = (network.layer(f"lstm{index}_{way}") for way in ("forward", "backward"))
        assert forward.inputs == backward.inputs
        assert (1312 if index == 1 else 1024) == forward.C
        assert network.layer(f"lstm{index}").inputs == (forward.name, backward.name)


def test_gnmt_feeds_the_context_to_every_decoder_layer_but_the_first():
    network = read_network("gnmt")
    readers = {f"decoder{index}_input" for index in range(2, 9)}
    assert set(network.consumers["context"]) == readers
    assert network.layer("context").inputs == ("alignment", "encoder8")
    assert network.layer("scores").output_shape == (32, 32, 1)
    for name, features in GNMT_LSTMS.items():
        assert features == network.layer(name).C


def test_the_residual_connections_of_gnmt_start_at_the_third_layer():
    network = read_network("gnmt")
    added = {layer.name for layer in network.layers if layer.kind == "add"}
    assert added == {f"{side}{index}" for side in ("encoder", "decoder") for index in range(3, 9)}
    for name in added:
        index = int(name[-1])
        assert network.layer(name).inputs == (f"{name}_lstm", f"{name[:-1]}{index - 1}")


def test_the_character_network_ends_with_34_positions():
    network = read_network("char_cnn")
    assert network.layer("pool6").output_shape == (256, 34, 1)  # (1014 - 96) / 27, Zhang et al., NIPS 2015, sec. 2.3
    assert [network.layer(f"conv{index}").R for index in range(1, 7)] == [7, 7, 3, 3, 3, 3]


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_that_multiplies_states_its_zeros(name):
    network = read_network(name)
    assert {layer.name for layer in network.compute_layers} == set(network.zeros)
    for zeros in network.zeros.values():
        assert None not in (zeros.weight_density, zeros.input_density)
        assert name == "neuraltalk" or zeros.source.startswith("stated, not published: ")
