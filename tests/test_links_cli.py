"""`archmodel list links`, `show LINK` and the table of links, as a user sees them."""

import json

import pytest

from archmodel import config
from archmodel.cli import main
from archmodel.interconnect.link import load_link


@pytest.fixture
def archmodel_run(capsys, monkeypatch):
    """Run the command line on a terminal of 80 columns: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        return main.run(list(map(str, arguments))), *capsys.readouterr()

    return call


def output_of(archmodel_run, *arguments):
    code, output, errors = archmodel_run(*arguments)
    assert (code, errors) == (0, "")
    return output


@pytest.mark.parametrize("name", config.names("links"))
def test_a_link_is_shown_on_one_screen(archmodel_run, name):
    lines = output_of(archmodel_run, "show", name).splitlines()
    document = json.loads(output_of(archmodel_run, "show", name, "--json"))
    assert len(lines) <= 34
    assert max(map(len, lines[:-1])) <= 80
    assert lines[:3] == [f"# configs/links/{name}.toml", "", document["values"]["name"]]
    assert (document["kind"], document["file"]) == ("link", f"configs/links/{name}.toml")
    own = config.written("links", name)[0]
    for file in (name, own.get("base", name)):
        assert str(config.folder("links") / f"{file}.toml") in lines[-1]
    link = load_link(name)
    assert document["derived"]["limits_bytes_per_s"] == link.limits
    for size, rates in document["derived"]["by_transfer_bytes"].items():
        for direction in ("upload", "download"):
            time_s = link.seconds(direction, int(size))
            assert rates[f"{direction}_bytes_per_s"] == (int(size) / time_s if time_s else None)


def test_the_screen_of_pcie_has_its_rates_by_payload_and_by_size(archmodel_run):
    output = " ".join(output_of(archmodel_run, "show", "pcie3_x16").split())
    for text in (
        "raw 15.75 GB/s each way: 16 x 8 GT/s, 128 of 130 bits",
        "packets 14.21 GB/s: 9.8% go to acknowledgements, credits, ordered sets",
        "write 24 + payload, read request 24, completion 20 + payload",
        "MPS 128 12.08 11.76 11.31",
        "MPS 256 13.18 12.99 12.46",
        "4 KiB 2.543 2.536 2.515",
        "limits down 14.21, up 14.21, tags 239.6, host 68.3 GB/s",
    ):
        assert text in output
    assert "MPS" not in output_of(archmodel_run, "show", "nvlink1")
    assert "no limit" in output_of(archmodel_run, "show", "infinite")
    assert "go to ordered sets" in output_of(archmodel_run, "show", "pcie6_x16")


def test_a_payload_at_which_acknowledgements_take_all_has_no_row(archmodel_run, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("base = 'pcie3_x16'\nname = 'mine'\n[acknowledgements]\nack_bytes = 150\n")
    output = output_of(archmodel_run, "show", path)
    assert "MPS 128 " not in output
    assert "MPS 256 " in output


def test_a_link_of_the_users_own_is_checked(archmodel_run, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("base = 'pcie3_x16'\n[lanes]\nlanes = 3\n")
    code, output, errors = archmodel_run("show", path)
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert "mine.toml: lanes.lanes = 3: must be 1, 2, 4, 8 or 16" in errors
    path.write_text((config.folder("links") / "nvlink1.toml").read_text("utf-8"))
    assert json.loads(output_of(archmodel_run, "show", path, "--json"))["kind"] == "link"


def test_the_links_are_listed(archmodel_run):
    listed = json.loads(output_of(archmodel_run, "list", "links", "--json"))["links"]
    assert [entry["name"] for entry in listed] == config.names("links")
    assert {"name": "pcie3_x16", "title": "PCIe 3.0 x16"} in listed
    widths = {f"pcie{generation}_x{lanes}" for generation in range(1, 7) for lanes in (1, 2, 4, 8, 16)}
    assert widths <= set(config.names("links"))


def test_the_table_of_links_passes(archmodel_run):
    document = json.loads(output_of(archmodel_run, "validate", "links", "--json"))
    verdicts = {row["id"]: row["verdict"] for row in document["tables"][0]["rows"]}
    assert document["passed"]
    assert all(verdicts[f"{kind}.{size}"] == "pass" for kind in ("read", "write") for size in (128, 256))
    assert all(verdicts[f"curve.{kib}"] == "pass" for kib in (4, 16, 64, 256, 1024))
