"""The pages of results on DRAM: their points are what the model gives, and say what the pages say."""

import collections
import csv
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from archmodel import simulate

RESULTS = Path(__file__).resolve().parents[1] / "results"


def script(folder):
    """The program that wrote a folder of results."""
    spec = importlib.util.spec_from_file_location(folder, RESULTS / folder / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def points(folder, name="points.csv"):
    with (RESULTS / folder / name).open() as file:
        return list(csv.DictReader(file))


# Addresses


@pytest.fixture(scope="module")
def mapping():
    return script("address_mapping")


@pytest.mark.parametrize("part", ["hbm2", "ddr4_2400"])
def test_points_of_streams_are_what_the_memory_gives(mapping, part):
    stated = {
        (p["base"], p["chunk_bytes"]): p for p in points("address_mapping") if (p["part"], p["streams"]) == (part, "3")
    }
    for (base, chunk), point in list(stated.items())[::5]:
        trace = mapping.accesses(mapping.part_of(part).part, 3, mapping.BASES[base], int(chunk))
        result = mapping.trace_memory(part, trace)
        share = 100 * result.bandwidth_bytes_per_s / result.peak_bytes_per_s
        assert float(point["peak_percent"]) == pytest.approx(share, abs=0.001)


def test_streams_begin_where_their_base_says(mapping):
    part = mapping.part_of("hbm2").part
    row_bytes = 256 << 10
    for field, further in (("ro", 0), ("ba", 16 << 10), ("bg", 64 << 10), ("ch", 2 << 10)):
        trace = mapping.accesses(part, 3, field, 256)
        assert trace.addresses[:13].tolist() == [
            *(
                start + 64 * i
                for start in (0, 64 * row_bytes + further, 2 * (64 * row_bytes + further))
                for i in range(4)
            ),
            256,
        ]
        assert trace.writes[:12].tolist() == [False] * 8 + [True] * 4


def test_three_streams_on_one_bank_get_what_users_report(mapping):
    shares = [
        float(p["peak_percent"])
        for p in points("address_mapping")
        if (p["streams"], p["base"], p["chunk_bytes"]) == ("3", "same bank, another row", "256")
        and p["part"] in ("hbm2", "ddr4_2400")
    ]
    assert sorted(shares) == pytest.approx(mapping.PUBLISHED, abs=0.5)


def test_a_layout_moves_streams_as_the_trace_has_them(mapping):
    part = mapping.part_of("hbm2").part
    chosen = mapping.layouts(part)
    for base, field in (("one bank", "ro"), ("next bank", "ba"), ("next bank group", "bg")):
        trace = mapping.accesses(part, 3, field, 4096)
        of_trace = mapping.trace_memory("hbm2", trace)
        share = 100 * of_trace.bandwidth_bytes_per_s / of_trace.peak_bytes_per_s
        assert mapping.layout_percent("hbm2", chosen[base], 4096) == pytest.approx(share, rel=0.03)


# SCNN


def test_performance_never_falls_with_more_bandwidth():
    scnn = script("scnn_dram")
    for layers in (scnn.CONV, scnn.FC):
        for net in scnn.NETS:
            line = [p for p in points("scnn_dram") if (p["layers"], p["net"], p["memory"]) == (layers, net, "ideal")]
            assert [float(p["gb_per_s"]) for p in line] == list(scnn.SWEPT_GB_PER_S)
            cycles = [int(p["cycles"]) for p in line]
            assert cycles == sorted(cycles, reverse=True)


def test_points_of_scnn_are_what_the_model_gives():
    scnn = script("scnn_dram")
    for point in points("scnn_dram"):
        if (point["layers"], point["net"]) == (scnn.CONV, "AlexNet") and point["memory"] in ("hbm2", "ddr4_2400"):
            assert scnn.run(scnn.CONV, "AlexNet", point["memory"]).cycles == int(point["cycles"])
            assert scnn.peak_gb_per_s(point["memory"]) == pytest.approx(float(point["gb_per_s"]))
        if (point["layers"], point["net"], point["gb_per_s"]) == (scnn.FC, "GoogLeNet", "4"):
            run = scnn.run(scnn.FC, "GoogLeNet", "ideal", "memory.bytes_per_s=4e9")
            assert run.cycles == int(point["cycles"])


def test_batches_that_share_weights_are_what_the_model_gives():
    scnn = script("scnn_dram")
    lines = collections.defaultdict(list)
    for point in points("scnn_dram", "sharing.csv"):
        lines[point["net"], int(point["images"])].append(point)
    assert list(lines) == [(net, images) for net in scnn.NETS for images in scnn.SHARING]
    for line in lines.values():
        cycles = [int(point["cycles"]) for point in line]
        assert cycles == sorted(cycles, reverse=True)
    for images in scnn.SHARING:
        (point,) = [point for point in lines["AlexNet", images] if point["gb_per_s"] == "4"]
        run = scnn.run_batch("AlexNet", images, scnn.sharing_of(images), "memory.bytes_per_s=4e9")
        assert run.cycles == int(point["cycles"])


def test_statistical_batches_share_as_exact_ones_do():
    scnn = script("scnn_dram")
    workload, chosen = scnn.rows_of(scnn.CONV, "AlexNet")
    exact = simulate("scnn", workload, layers=chosen, batch=4, assignments=["weight_fifo.images=4"])
    expected = scnn.run_batch("AlexNet", 4, "weight_fifo.images=4")
    for one, other in zip(exact.layers, expected.layers, strict=True):
        assert one.details["images_at_a_time"] == other.details["images_at_a_time"]
        assert one.dram_bytes == pytest.approx(other.dram_bytes, rel=0.01)
    assert expected.cycles == pytest.approx(exact.cycles, rel=0.02)


def test_tiled_layers_are_split_into_what_they_move():
    scnn = script("scnn_dram")
    layer = SimpleNamespace(
        name="by_hand",
        details={"sub_planes": 4},
        cycles=10,
        energy_pj={"dram": 200.0, "rest": 60.0},
        dram_bytes_of={"weight": 80, "psum": 10, "input": 4, "output": 6}.get,
    )
    row = scnn.Tiled.of(layer)
    assert row.gb_per_s == (2.0, 6.0, 1.0, 0.4, 0.6)
    # 2 pJ a byte; on chip 60 pJ and 20 bytes of weights are 100 pJ
    assert (row.added_percent, row.all_percent, row.outputs_percent) == (140.0, 160.0, 12.0)
    assert scnn.weights_once_gb_per_s([layer, layer]) == 2.0


def test_pooled_outputs_are_what_the_next_layer_reads():
    scnn = script("scnn_dram")
    moved = ((5, 40), (10, 30), (50, 20))  # bytes of inputs and outputs
    layers = [SimpleNamespace(dram_bytes_of=dict(zip(("input", "output"), pair, strict=True)).get) for pair in moved]
    assert scnn.pooled_gb_per_s(SimpleNamespace(layers=layers, cycles=10)) == (10 + 30 + 20) / 10


def test_the_page_of_scnn_says_what_was_measured():
    scnn = script("scnn_dram")
    stored = [scnn.Point(*row.values()) for row in points("scnn_dram")]
    stored = [p._replace(gb_per_s=float(p.gb_per_s), performance=float(p.performance)) for p in stored]
    page = (RESULTS / "scnn_dram" / "compare.md").read_text("utf-8")
    for layers in (scnn.CONV, scnn.FC):
        assert scnn.table(stored, layers) in page
    result = scnn.run(scnn.CONV, "VGG-16", "ideal", *scnn.FREE)
    tiled = scnn.tiled_layers(result)
    assert scnn.tiled_table([scnn.Tiled.of(layer) for layer in tiled]) in page
    assert scnn.needs_table("network", {"VGG-16": scnn.needs(result)}).splitlines()[-1] in page
    for said in (scnn.about_tiles(tiled)["added_percent"], f"because of {scnn.about_vgg(result)['wide']}"):
        assert said in page


def test_layers_that_overlap_in_full_take_the_longer_of_computing_and_moving():
    scnn = script("scnn_dram")
    result = SimpleNamespace(cycles=100, layers=[SimpleNamespace(dram_bytes=300), SimpleNamespace(dram_bytes=500)])
    found = dict(zip(scnn.SWEPT_GB_PER_S, scnn.overlapped_performance(result, 120), strict=True))
    assert (found[4], found[8], found[16]) == (0.6, 1.2, 1.2)
