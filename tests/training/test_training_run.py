"""What a run of `train` says of itself, by hand: totals, layers, rows of a data frame."""

import json

import pytest

from archmodel.errors import ConfigError
from archmodel.training.steps import PHASES
from archmodel.training.timeline import Timeline
from archmodel.training.training_run import phase_of
from tests.training.made_timelines import CAPACITY, a_result, a_run, by_hand


def test_a_timeline_without_memory_holds_nothing():
    empty = Timeline((), (), 1.0)
    assert [part.tolist() for part in empty.memory_curve] == [[], []]
    assert (empty.peak_bytes, empty.average_bytes) == (0, 0.0)


def test_totals_are_those_of_the_timeline():
    totals = a_run().totals()
    assert (totals["net"], totals["batch"], totals["policy"], totals["mode"]) == ("tiny", 4, "vdnn_all", "performance")
    assert (totals["iteration_s"], totals["oracle_s"]) == (10e-3, 7e-3)
    assert totals["slowdown"] == pytest.approx(10 / 7)
    assert totals["stalls"] == pytest.approx({"offload": 1e-3, "prefetch": 2e-3})
    assert (totals["offloaded_bytes"], totals["prefetched_bytes"]) == (3000, 3000)
    assert totals["peak_bytes"] == 3700
    # 3 ms of 3500 bytes, 1 ms of 700, 5 ms of 3700, 1 ms of 500
    assert totals["average_bytes"] == pytest.approx(3020)
    assert totals["capacity_bytes"] == CAPACITY
    assert (totals["reserved_bytes"], totals["fragmentation"]) == (4096, 0.125)
    assert a_run(reserved_bytes=0).fragmentation == 0
    assert totals["fits"] is True
    assert a_run(oracle_s=0.0).slowdown is None


def test_the_keys_of_the_object_are_an_interface():
    document = a_result().as_dict()
    assert document.keys() == {"command", "seed", "provenance", "runs"}
    [run] = document["runs"]
    assert run.keys() >= {
        *("net", "batch", "policy", "iteration_s", "oracle_s", "slowdown", "peak_bytes", "average_bytes"),
        *("offloaded_bytes", "stalls", "fits", "layers"),
    }
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_layers_have_their_phases_stalls_and_transfers():
    first, second = a_run().as_dict()["layers"]
    assert (first["name"], second["name"]) == ("conv1", "fc2")
    assert [first[f"{phase}_s"] for phase in ("forward", "backward", "update")] == pytest.approx([2e-3, 2e-3, 1e-3])
    assert [second[f"{phase}_s"] for phase in ("forward", "backward", "update")] == pytest.approx([1e-3, 1e-3, 0])
    assert first["stalls"] == pytest.approx({"offload": 1e-3, "prefetch": 2e-3})
    assert (first["offloaded_bytes"], first["prefetched_bytes"], first["input_bytes"]) == (3000, 3000, 1000)
    assert first["algorithms"] == {"conv1.forward": "fft"}
    assert (second["stalls"], second["algorithms"], second["offloaded_bytes"]) == ({}, {}, 0)


def test_the_time_of_layers_and_stalls_is_the_iteration():
    rows = a_run().rows("layers")
    phases = sum(row[f"{phase}_s"] for row in rows for phase in ("forward", "backward", "update", "recompute"))
    assert phases + sum(sum(row["stalls"].values()) for row in rows) == pytest.approx(10e-3)


def test_every_operation_has_a_phase():
    assert {kind: phase_of(kind) for kind in PHASES} == {**PHASES, "recompute": "recompute"}
    with pytest.raises(ConfigError, match="kind of a span = 'offload': must be"):
        phase_of("offload")


def test_data_frames_have_layers_spans_and_memory():
    pytest.importorskip("pandas", reason="pandas is an extra")
    result = a_result(a_run(), a_run(policy="none"))
    layers = result.to_dataframe()
    assert list(layers["policy"]) == ["vdnn_all", "vdnn_all", "none", "none"]
    assert list(layers["name"]) == ["conv1", "fc2", "conv1", "fc2"]
    assert layers["stalls_prefetch"][0] == pytest.approx(2e-3)
    assert layers.attrs["totals"][1]["policy"] == "none"
    spans = result.to_dataframe("spans")
    assert len(spans) == 2 * len(by_hand().spans)
    assert spans[spans["run"] == 0]["num_bytes"].sum() == 7000
    events = a_run().to_dataframe("memory_events")
    assert list(events["num_bytes"].cumsum())[-1] == 500
    assert a_run().to_dataframe("spans").attrs["iteration_s"] == 10e-3


def test_other_rows_are_an_error():
    with pytest.raises(ConfigError, match="rows = 'span': must be layers, spans, memory_events; did you mean 'spans'"):
        a_run().to_dataframe("span")


def test_a_title_says_what_was_run():
    assert a_run().title == "tiny (4), vdnn_all (p)"
    assert a_run(batch=1, mode="").title == "tiny (1), vdnn_all"
