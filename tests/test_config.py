"""Configurations: what is accepted, and the one line that says what is wrong with the rest."""

import os
import re
import string
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from archmodel import config
from archmodel.config import FrozenModel
from archmodel.errors import ConfigError, did_you_mean, one_line, show

MACHINES = ", ".join(config.names("accelerators"))


class Pe(FrozenModel):
    rows: int = Field(ge=1, le=4096)
    cols: int = Field(ge=1, le=4096)
    kc: Literal["published", "accumulator"] | Annotated[int, Field(ge=1)] = "published"
    hash: Literal["linear", "prime", "xor"] = "linear"
    num_banks: int = Field(32, ge=1, le=1024)

    @model_validator(mode="after")
    def banks_match_the_hash(self) -> "Pe":
        if self.hash == "xor" and self.num_banks & (self.num_banks - 1):
            raise ValueError(f"num_banks = {self.num_banks} must be a power of two for hash = 'xor'")
        return self


class Sram(FrozenModel):
    size_bytes: int = Field(ge=0, le=2**40)
    shape: Annotated[tuple[int, int], Field(strict=False)] = (1, 1)


class Step(FrozenModel):
    name: str
    kernel: int = Field(ge=1)


class Machine(FrozenModel):
    name: str
    density: float = Field(0.5, ge=0, le=1)
    gated: bool = False
    pe: Pe
    sram: Sram | Literal["none"] = "none"
    sizes: dict[str, Sram] = Field(default_factory=dict)
    steps: list[Step] = Field(default_factory=list)


GOOD = """\
name = "sample"
density = 0.25
gated = true
[pe]
rows = 8
cols = 8
hash = "xor"
[sram]
size_bytes = 1024
shape = [2, 4]
[sizes.input]
size_bytes = 10
[[steps]]
name = "first"
kernel = 3
"""


# The parts of messages that many mistakes share.
TOP = "allowed: name, density, gated, pe, sram, sizes, steps"
PE = "allowed: rows, cols, kc, hash, num_banks"
HASH = "must be 'linear', 'prime' or 'xor'"
FORM = "expected section.key=value"
VALUE = "expected a TOML value: a number, true, false, 'text' or a [list]"


def checked(text: str, *assignments: str) -> Machine:
    data = config.parse(text, "scnn.toml")
    return config.checked(data, "scnn.toml", Machine, assignments)


def message(text: str, *assignments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(text, *assignments)
    line = str(caught.value)
    assert_one_line(line)
    return line


def assert_one_line(line: str) -> None:
    assert line.isprintable()
    assert line == line.strip() != ""
    assert len(line) <= 600


def test_a_good_file_is_a_frozen_model():
    machine = checked(GOOD)
    assert (machine.pe.rows, machine.sram.shape, machine.steps[0].name) == (8, (2, 4), "first")
    with pytest.raises(ValidationError):
        machine.pe.rows = 16


def test_an_integer_serves_as_a_number_but_not_the_reverse():
    assert checked(GOOD, "density=1").density == 1.0
    assert message(GOOD, "pe.rows=8.0") == "--set pe.rows=8.0: must be an integer"


@pytest.mark.parametrize(
    ("was", "becomes", "expected"),
    [
        (
            "rows = 8",
            "rowz = 8",
            f"pe.rowz = 8: unknown key in [pe]; {PE}; did you mean 'rows'?",
        ),
        ("rows = 8", "rows = 0", "pe.rows = 0: must be at least 1"),
        ("rows = 8", "rows = -3", "pe.rows = -3: must be at least 1"),
        ("rows = 8", f"rows = {10**23}", f"pe.rows = {10**23}: must be at most 4096"),
        ("rows = 8", "rows = true", "pe.rows = true: must be an integer"),
        ("rows = 8", "rows = '8'", "pe.rows = '8': must be an integer"),
        ("rows = 8\n", "", "pe.rows: required key is missing"),
        ('hash = "xor"', 'hash = "primes"', f"pe.hash = 'primes': {HASH}; did you mean 'prime'?"),
        ('hash = "xor"', "kc = 0", "pe.kc = 0: must be 'published' or 'accumulator' or at least 1"),
        ('hash = "xor"', "kc = 2.5", "pe.kc = 2.5: must be 'published' or 'accumulator' or an integer"),
        (
            'hash = "xor"',
            'kc = "accumulater"',
            "pe.kc = 'accumulater': must be 'published' or 'accumulator' or an integer; did you mean 'accumulator'?",
        ),
        (
            'hash = "xor"',
            'hash = "xor"\nnum_banks = 33',
            "[pe]: num_banks = 33 must be a power of two for hash = 'xor'",
        ),
        ("density = 0.25", "density = 1.2", "density = 1.2: must be at most 1"),
        ("density = 0.25", "density = nan", "density = nan: must be a finite number"),
        ("density = 0.25", "density = -inf", "density = -inf: must be a finite number"),
        ("gated = true", "gated = 1", "gated = 1: must be true or false"),
        ("gated = true", "gatd = true", f"gatd = true: unknown key at the top level; {TOP}; did you mean 'gated'?"),
        ("[pe]", "[PE]", f"[PE]: unknown section at the top level; {TOP}; did you mean 'pe'?"),
        (
            "size_bytes = 1024",
            "size_byte = 1024",
            "sram.size_byte = 1024: unknown key in [sram]; allowed: size_bytes, shape; did you mean 'size_bytes'?",
        ),
        ("size_bytes = 1024", "size_bytes = -1", "sram.size_bytes = -1: must be at least 0"),
        ("size_bytes = 1024\n", "", "sram.size_bytes: required key is missing"),
        ("shape = [2, 4]", "shape = [2]", "sram.shape = [2]: has too few values"),
        ("shape = [2, 4]", "shape = [2, 4, 6]", "sram.shape = [2, 4, 6]: must have at most 2 values"),
        ("shape = [2, 4]", "shape = [2, 'x']", "sram.shape[1] = 'x': must be an integer"),
        ("shape = [2, 4]", "shape = 3", "sram.shape = 3: must be a list"),
        (
            "size_bytes = 10\n",
            "size_bytes = 10\nsiz = 1\n",
            "sizes.input.siz = 1: unknown key in [sizes.input]; allowed: size_bytes, shape",
        ),
        (
            "kernel = 3",
            "kernal = 3",
            "steps[first].kernal = 3: unknown key in [steps[first]]; allowed: name, kernel; did you mean 'kernel'?",
        ),
        ("kernel = 3", "kernel = 0", "steps[first].kernel = 0: must be at least 1"),
        ('name = "first"\n', "", "steps[0].name: required key is missing"),
    ],
)
def test_a_mistake_names_file_section_key_value_and_what_is_allowed(was, becomes, expected):
    assert GOOD.count(was) == 1
    assert message(GOOD.replace(was, becomes)) == f"scnn.toml: {expected}"


def test_a_value_in_place_of_a_section_and_the_reverse():
    assert message("pe = 3\nname = 'x'") == "scnn.toml: pe = 3: must be a section"
    assert message(GOOD, "name={a=1}") == "--set name={a=1}: must be a string"
    assert message("name = 'x'") == "scnn.toml: pe: required key is missing"


def test_an_unknown_key_is_reported_before_the_missing_one():
    assert "'rows'" in message(GOOD.replace("rows = 8", "rwos = 8"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = = 2\n", "scnn.toml: line 2, column 5: invalid value in 'b = = 2'"),
        ("a = 1\n[pe\n", "scnn.toml: line 2, column 4: expected ']' at the end of a table declaration in '[pe'"),
        ("a = 1\na = 2\n", "scnn.toml: line 2, column 6: repeated key or section in 'a = 2'"),
        ("[pe]\nx = 1\n[pe]\n", "scnn.toml: line 3, column 4: repeated key or section in '[pe]'"),
        ("a = [1,", "scnn.toml: line 1, column 8: invalid value in 'a = [1,'"),
        ("a = 'x\x00'\n", "scnn.toml: line 1, column 7: found invalid character '\\x00' in \"a = 'x\\x00'\""),
        (f"a = {'9' * 5000}\n", "scnn.toml: a number has too many digits"),
        (f"a = {'[' * 100_000}\n", "scnn.toml: nested deeper than 16 levels"),
        (f"a{'.a' * 100} = 1\n", "scnn.toml: nested deeper than 16 levels"),
    ],
)
def test_a_syntax_error_names_line_and_column(text, expected):
    assert message(text) == expected


def test_values_are_shown_short_and_escaped():
    assert len(message(GOOD, "pe.rows='" + "x" * 1000 + "'")) < 120
    assert "\\x1b" in message(GOOD, 'pe.hash="\\u001b[31m"').replace("\\u001b", "\\x1b")
    assert "'a\\nb'" in message('"a\\nb" = 1\n' + GOOD)
    assert show(True) == "true"
    assert show(int("f" * 5000, 16)) == "<int too large to show>"
    assert one_line("two\nlines\x07\u202e") == "two lines\\x07\\u202e"


# Overrides


def test_an_override_has_toml_values_and_bare_words():
    machine = checked(GOOD, "pe.rows=16", "pe.hash=prime", "pe.kc='accumulator'", "sram.shape=[3, 5]", "density=1e-2")
    assert (machine.pe.rows, machine.pe.hash, machine.pe.kc) == (16, "prime", "accumulator")
    assert (machine.sram.shape, machine.density) == ((3, 5), 0.01)
    assert checked(GOOD, "gated=false").gated is False
    assert checked(GOOD, "sram=none").sram == "none"


def test_an_override_leaves_the_data_it_was_given_alone():
    data: dict[str, Any] = {"pe": {"rows": 8}}
    changes = [config.Assignment.of(text) for text in ("pe.rows=9", "pe.cols=2")]
    assert config.override(data, changes, "x") == {"pe": {"rows": 9, "cols": 2}}
    assert data == {"pe": {"rows": 8}}


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["pe.rows=0"], "--set pe.rows=0: must be at least 1"),
        (["pe.rowz=8"], f"--set pe.rowz=8: unknown key in [pe]; {PE}; did you mean 'rows'?"),
        (["pee.rows=8"], f"--set pee.rows=8: unknown section at the top level; {TOP}; did you mean 'pe'?"),
        (
            ["pe.num_banks=33"],
            "scnn.toml with --set pe.num_banks=33: [pe]: num_banks = 33 must be a power of two for hash = 'xor'",
        ),
        (["pe={rows=8}"], "--set pe={rows=8}: pe.cols: required key is missing"),
        (["name.x=1"], "--set name.x=1: name is not a section of scnn.toml"),
        (["pe.rows=1", "pe.rows=2"], "--set pe.rows=2: pe.rows is already set by another --set"),
        (["pe.rows=1", "pe={rows=2, cols=2}"], "--set pe={rows=2, cols=2}: pe.rows is already set by another --set"),
        (["pe.rows"], f"--set pe.rows: {FORM}"),
        (["pe.rows="], f"--set pe.rows=: {FORM}"),
        (["pe..rows=1"], f"--set pe..rows=1: {FORM}"),
        (["=1"], f"--set =1: {FORM}"),
        ([""], f"--set : {FORM}"),
        (["pe.rows=[1"], f"--set pe.rows=[1: {VALUE}"),
        (["pe.rows=1\ngated=true"], f"--set pe.rows=1 gated=true: {VALUE}"),
        (["pe.hash=two words"], f"--set pe.hash=two words: {VALUE}"),
    ],
)
def test_a_wrong_override_names_itself_as_the_source(assignments, expected):
    assert message(GOOD, *assignments) == expected


def test_a_mistake_of_the_file_is_not_blamed_on_an_override():
    text = GOOD.replace("cols = 8", "cols = 0")
    assert message(text, "pe.rows=4") == "scnn.toml: pe.cols = 0: must be at least 1"


# Files


def test_a_path_is_read_and_named_as_given(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())  # an editor of another system
    assert config.load("accelerators", path, Machine).pe.rows == 8
    path.write_text(GOOD.replace("rows = 8", "rows = 0"))
    with pytest.raises(ConfigError, match=re.escape(f"{path}: pe.rows = 0: must be at least 1")):
        config.load("accelerators", str(path), Machine)


def test_a_bare_name_is_looked_up_in_the_folder_of_its_kind(tmp_path, monkeypatch):
    monkeypatch.setattr("archmodel.config.files.folder", lambda kind: tmp_path)
    (tmp_path / "scnn.toml").write_text("pe = {rows = 1}")
    (tmp_path / "v1.1.toml").write_text("")
    assert config.names("accelerators") == ["scnn", "v1.1"]
    assert config.read("accelerators", "scnn") == ({"pe": {"rows": 1}}, "configs/accelerators/scnn.toml")
    assert config.read("accelerators", "v1.1") == ({}, "configs/accelerators/v1.1.toml")
    with pytest.raises(ConfigError) as caught:
        config.read("accelerators", "SCN")
    assert str(caught.value) == (
        "'SCN': unknown accelerator; allowed: scnn, v1.1 or the path of a .toml file; did you mean 'scnn'?"
    )


def test_every_kind_has_a_folder_and_every_shipped_file_parses():
    for kind in config.FOLDERS:
        assert config.folder(kind).parts[-len(Path(config.FOLDERS[kind]).parts) :] == Path(config.FOLDERS[kind]).parts
        for name in config.names(kind):
            config.read(kind, name)
    for nonsense in ("", "x\0.toml", "x\0/y", "no such name"):
        with pytest.raises(ConfigError, match="unknown accelerator; allowed: "):
            config.read("accelerators", nonsense)
    with pytest.raises(ConfigError, match="did you mean 'links'"):
        config.folder("link")


def unreadable_files(folder: Path) -> dict[str, tuple[str, str]]:
    """File name -> what is there, and the end of its message."""
    (folder / "latin.toml").write_bytes(b"name = 'caf\xe9'")
    (folder / "folder.toml").mkdir()
    (folder / "huge.toml").write_bytes(b"#" * (config.MAX_FILE_BYTES + 1))
    os.mkfifo(folder / "pipe.toml")
    (folder / "loop.toml").symlink_to("loop.toml")
    return {
        "absent.toml": "no such file",
        "latin.toml": "not UTF-8 text (byte 11)",
        "folder.toml": "is a folder, not a .toml file",
        "huge.toml": f"{config.MAX_FILE_BYTES + 1} bytes; a configuration has at most {config.MAX_FILE_BYTES}",
        "pipe.toml": "is not a regular file",
        "loop.toml": "cannot be read: Too many levels of symbolic links",
        "a" * 5000 + ".toml": "cannot be read: File name too long",
    }


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    for name, reason in unreadable_files(tmp_path).items():
        with pytest.raises(ConfigError) as caught:
            config.read("accelerators", tmp_path / name)
        assert str(caught.value).endswith(f": {reason}")
        assert_one_line(str(caught.value))


def test_a_file_without_permission_says_so(tmp_path, monkeypatch):
    # The superuser may read everything, so the refusal is made here.
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "x.toml"
    path.write_text("")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match=r"x\.toml: cannot be read: Permission denied$"):
        config.read("accelerators", path)


def test_a_nearest_name_ignores_case_and_distance_has_a_limit():
    assert did_you_mean("VGG", ["vgg16", "alexnet"]) == "; did you mean 'vgg16'?"
    assert did_you_mean("zebra", ["vgg16", "alexnet"]) == ""
    assert did_you_mean("x" * 10**6, ["xx"]) == ""


# Properties: whatever is thrown at it, one line or a valid model; and what is known to be broken never passes.

FUZZ = settings(max_examples=300, deadline=None)
toml_values = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["true", "false", "[]", "{}", "''", "[[]]", "{a = 1}", "1979-05-27", "[1, 'a']", "0x" + "f" * 4000]
    ),
    st.text(string.ascii_letters + " .-", max_size=80).map(lambda text: f"'{text}'"),
)
keys = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=80)
KNOWN_KEYS = {key for model in (Machine, Pe, Sram, Step) for key in model.model_fields}
LINES = GOOD.splitlines(keepends=True)


def outcome(text: str, *assignments: str) -> str | None:
    """The message, or None for success; anything else than a ConfigError of one line fails."""
    try:
        checked(text, *assignments)
    except ConfigError as error:
        assert_one_line(str(error))
        return str(error)
    return None


@FUZZ
@given(st.text(max_size=200))
@example("\x00")
@example("'")
def test_any_text_gives_one_line(text):
    assert outcome(text)  # no text this short holds the required sections by chance


@FUZZ
@given(st.integers(0, len(GOOD) - 1), st.text(max_size=3), st.integers(0, 3))
def test_a_damaged_file_gives_one_line_or_is_valid(position, inserted, removed):
    outcome(GOOD[:position] + inserted + GOOD[position + removed :])


@FUZZ
@given(st.sampled_from([line for line in LINES if "=" in line]), toml_values)
def test_any_value_in_any_place_gives_one_line_or_is_valid(line, value):
    outcome(GOOD.replace(line, f"{line.partition('=')[0]}= {value}\n", 1))


@FUZZ
@given(st.sampled_from(["", "pe", "sram", "sizes.input"]), keys, toml_values)
def test_an_unknown_key_never_passes(section, key, value):
    assume(key not in KNOWN_KEYS)
    header = f"[{section}]\n" if section else ""
    line = outcome(GOOD.replace(header, f"{header}{key} = {value}\n", 1))
    assert line
    assert "unknown" in line or "line" in line  # a section's rules come after its keys, syntax before


@FUZZ
@given(st.sampled_from(LINES))
def test_a_repeated_line_never_passes(line):
    assume(not line.startswith("[["))
    assert "repeated key or section" in (outcome(GOOD.replace(line, line + line, 1)) or "")


@FUZZ
@given(st.one_of(st.integers(max_value=0), st.integers(min_value=4097)), st.sampled_from(["rows", "cols"]))
def test_an_impossible_count_never_passes(count, key):
    for line in (outcome(GOOD.replace(f"{key} = 8", f"{key} = {count}")), outcome(GOOD, f"pe.{key}={count}")):
        assert f"pe.{key}" in (line or "")


@FUZZ
@given(st.one_of(st.text(max_size=60), st.tuples(keys, keys, toml_values).map(lambda parts: "{}.{}={}".format(*parts))))
@example("pe.rows=8\n")
@example("pe.rows=8 # eight")
def test_any_override_gives_one_line_or_is_valid(assignment):
    line = outcome(GOOD, assignment)
    if line is None:
        assert assignment.partition("=")[0].strip().split(".")[-1].strip() in KNOWN_KEYS | {"sizes"}
    else:
        assert "--set" in line


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(sorted(KNOWN_KEYS)), toml_values), max_size=4))
def test_any_overrides_of_known_keys_give_one_line_or_are_valid(pairs):
    outcome(GOOD, *(f"pe.{key}={value}" for key, value in pairs))


# A file that says what differs from another


def machine_file(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_with_a_base_holds_only_what_differs(tmp_path):
    data, _ = config.read("accelerators", machine_file(tmp_path, 'base = "scnn"\nname = "Mine"\n[pe]\nF = 2\n'))
    below, _ = config.read("accelerators", "scnn")
    assert data == below | {"name": "Mine", "pe": below["pe"] | {"F": 2}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('base = "scn"', f"base = 'scn': allowed: {MACHINES}"),
        ('base = "../scnn.toml"', f"base = '../scnn.toml': allowed: {MACHINES}"),
        ("base = 3", f"base = 3: allowed: {MACHINES}"),
        ('base = ["scnn"]', f"allowed: {MACHINES}"),
        ('base = "dcnn_opt"', "base = 'dcnn_opt': has a base itself"),
    ],
)
def test_a_base_is_a_whole_file_of_the_same_kind(tmp_path, text, expected):
    with pytest.raises(ConfigError) as error:
        config.read("accelerators", machine_file(tmp_path, text))
    assert "mine.toml: " in str(error.value)
    assert expected in str(error.value)
    assert_one_line(str(error.value))
