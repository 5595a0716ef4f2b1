"""Maps of a run of onnxruntime: each is the array of that run, and is counted as that array."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from archmodel.encodings.dma_sizes import cdma_bytes, expected_share
from archmodel.operands.captured import Capture
from archmodel.training import STUDY, training_graph
from archmodel.training.captured_maps import captured_maps
from archmodel.training.compressing_dma import load_dma
from tests.exchange.onnx_models import node
from tests.operands.test_captured import captured

NODES = [
    node("Conv", ["x", "w1"], "c1", pads=[1, 1, 1, 1]),
    node("Relu", ["c1"], "r1"),
    node("MaxPool", ["r1"], "p1", kernel_shape=[2, 2], strides=[2, 2]),
    node("Conv", ["p1", "w2"], "c2"),
    node("Relu", ["c2"], "r2"),
    node("LRN", ["r2"], "n2", size=3),
    node("MaxPool", ["n2"], "p2", kernel_shape=[3, 3], strides=[3, 3]),
    node("Flatten", ["p2"], "f"),
    node("Gemm", ["f", "w3"], "c3"),
    node("Sigmoid", ["c3"], "s3"),
    node("Gemm", ["s3", "w4"], "c4"),
]
RNG = np.random.default_rng(3)
SHAPES = {"w1": (16, 4, 3, 3), "w2": (32, 16, 1, 1), "w3": (512, 10), "w4": (10, 8)}
STORED = {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
MAPS = {"c1": "r1", "p1": "p1", "c2": "r2", "p2": "p2", "c3": "s3"}  # whose map it is, who writes it last


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return captured(NODES, (1, 4, 24, 24), STORED, tmp_path_factory.mktemp("model"), feeds=3)


def arrays(capture, name):
    return np.concatenate([run[name] for run in capture.run.runs])


def graph_of(capture):
    return training_graph(capture.network, capture.batch, STUDY)


def test_maps_are_the_arrays_of_the_run(capture):
    found = {owner: (writer.name, values) for owner, writer, values in captured_maps(capture, graph_of(capture))}
    assert {owner: writer for owner, (writer, _) in found.items()} == MAPS  # not n2: only a pool reads it
    for name, values in found.values():
        expected = arrays(capture, name)
        np.testing.assert_allclose(values, expected.reshape(values.shape), rtol=1e-6)
        assert values.dtype == np.float32
    assert 0.1 < np.count_nonzero(found["c2"][1]) / found["c2"][1].size < 0.9


@pytest.mark.parametrize("codec", ["zvc", "rle", "zlib"])
@pytest.mark.parametrize("layout", ["NCHW", "CHWN"])
def test_captured_maps_are_counted_as_arrays(capture, codec, layout):
    graph = graph_of(capture)
    dma = load_dma(f"cdma_{codec}", capture.network, graph, capture=capture, assignments=(f"layout={layout}",))
    for owner in ("c1", "p1", "c2", "p2"):
        values = arrays(capture, MAPS[owner])
        tensor = graph.tensors[f"Y:{owner}"]
        assert tensor.num_bytes == values.size * 4
        assert dma.link_bytes(tensor) == pytest.approx(cdma_bytes(values, codec, 4, layout), abs=1)
    assert "c3" not in dma.shares  # a sigmoid makes no zeros
    assert "c4" not in dma.shares


def test_a_map_of_which_nothing_is_kept_follows_from_what_is_above_it(capture):
    graph = graph_of(capture)
    dma = load_dma("cdma_rle", capture.network, graph, capture=capture)
    values = arrays(capture, "r2")
    assert dma.shares["n2"] == pytest.approx(expected_share(np.count_nonzero(values) / values.size, "rle", 4))


def test_images_of_a_capture_stand_for_a_larger_batch(capture):
    larger = training_graph(capture.network, 64, STUDY)
    dma = load_dma("cdma_zvc", capture.network, larger, capture=capture)
    small = load_dma("cdma_zvc", capture.network, graph_of(capture), capture=capture)
    assert dma.shares == small.shares


def test_without_outputs_what_a_norm_reads_is_as_the_profile_says(capture):
    bare, one = ("c1", "c2"), capture.run

    class Fewer:
        num_runs = one.num_runs
        has = staticmethod(lambda name: name not in bare and one.has(name))
        tensor = staticmethod(one.tensor)

    fewer = Capture(capture.network, capture.builder, Fewer(), "x.npy")
    assert {owner for owner, _, _ in captured_maps(fewer, graph_of(fewer))} == {"p1", "p2", "c3"}
    dma = load_dma("cdma_zvc", fewer.network, graph_of(fewer), capture=fewer)
    assert dma.shares["c2"] == pytest.approx(0.5 + 1 / 32)
