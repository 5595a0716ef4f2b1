"""docs/encodings.md: its table is that of the networks, its formats are all there are, its example runs."""

import re
import runpy
from pathlib import Path

from archmodel.encodings.encoding_sizes import CATALOGUE

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "encodings.md").read_text("utf-8")


def test_the_table_of_weights_is_that_of_the_networks():
    assert runpy.run_path(str(DOCS / "encodings.py"))["page"](PAGE) == PAGE, "write it again: python docs/encodings.py"


def test_every_format_is_explained():
    cells = re.findall(r"^\| (`.*?`) \| (`.*?) \|", PAGE.partition("## Weights of some")[0], re.MULTILINE)
    assert [name for first, _ in cells for name in re.findall("`(.*?)`", first)] == list(CATALOGUE)
    for first, second in cells:
        for name, shown in zip(re.findall("`(.*?)`", first), re.findall(r"`(\w+\(|\()", second), strict=True):
            assert shown in ("(", f"{type(CATALOGUE[name]).__name__}(")


def test_the_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "encodings.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == r"7 {'counts': b'\x01\x00\x02', 'values': b'S\xf0', 'runs': b'\x10 '} True"
    assert lines[1] == str(2 * 5 * 2 + 2 + 2)  # pointers of two PEs, 3 codes and 3 runs of 4 bits
    assert lines[2].startswith("bitmask ")
