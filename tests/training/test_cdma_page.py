"""docs/cdma.md: its snippet prints what it shows, its numbers are those of the files and of the table."""

import re
from pathlib import Path

from archmodel.training.dma_config import load_dma_config
from archmodel.training.map_densities import load_profile

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "cdma.md").read_text("utf-8")


def test_its_snippet_prints_what_it_shows(capsys):
    snippet, further = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    [shown] = re.findall(r"prints\n\n```\n(.*?)```", TEXT, re.DOTALL)
    names = {}
    exec(compile(snippet, "cdma.md", "exec"), names)
    assert capsys.readouterr().out == shown
    exec(compile(further, "cdma.md", "exec"), names)
    assert re.fullmatch(r"0\.\d{3} of the oracle, \d+\.\d\d GiB offloaded\n", capsys.readouterr().out)


def test_its_numbers_are_those_of_the_files():
    engine, profile = load_dma_config("cdma_zvc"), load_profile("u_shape")
    assert (engine.fetch_bytes_per_s, engine.buffer_bytes, engine.delay_s) == (200e9, 70_000, 350e-9)
    assert f"{engine.fetch_bytes_per_s / 12.8e9:.1f} times" in TEXT
    assert f"it is {engine.fetch_bytes_per_s / 80e9:.1f}" in TEXT
    assert profile.stages == (0.0, 0.2, 1.0)
    assert f"{profile.of_trained[1]:g} of the trained density" in TEXT


def test_its_ratios_are_those_of_the_table():
    table = (ROOT / "results" / "cdma" / "compare.md").read_text("utf-8")
    for row, said in (
        ("zero-value compression, mean of six networks", "2.25 on average"),
        ("vDNN loses, mean of six networks, Titan X", "loses 32 %"),
        ("gained over vDNN, mean of six networks, Titan X", "gain 34 %"),
        ("gained over vDNN at most, Titan X", "most 74 %"),
        ("vDNN loses, mean of six networks, P100", "loss of 52 %"),
        ("gained over vDNN, mean of six networks, P100", "gain of 56 %"),
        ("SqueezeNet(512), zero-value compression", "SqueezeNet's 2.77"),
        ("mean of the networks, runs, zeros gather, NCHW", "2.20 in NCHW"),
        ("mean of the networks, runs, zeros gather, NHWC", "1.92 in NHWC"),
    ):
        [line] = [one for one in table.splitlines() if row in one]
        number = re.search(r"[\d.]+", said.removeprefix("SqueezeNet's "))[0]
        places = len(number.partition(".")[2])
        assert f"{float(line.split('|')[3]):.{places}f}" == number
        assert said in TEXT.replace("\n", " ")
