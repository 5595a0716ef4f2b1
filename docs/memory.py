"""The outputs of commands in memory.md.

python docs/memory.py     writes them again
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).with_suffix(".md")
ROOT = PAGE.parents[1]
BLOCK = re.compile(r"```\n\$ (.*)\n([^`]*)```")
EXAMPLE = "cycle,address,R|W\n0,0x0,R\n0,0x40,R\n0,0x20000,R\n1000,0x20000,R\n"


def printed(command: str, folder: str) -> str:
    """What a command prints on a terminal of 100 columns."""
    verb, *arguments = command.split()
    if verb == "cat":
        return (Path(folder) / arguments[0]).read_text("utf-8")
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", verb, *arguments]
    return subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def page(text: str) -> str:
    """The page with what its commands print now."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "four.csv").write_text(EXAMPLE, "utf-8")
        return BLOCK.sub(lambda block: f"```\n$ {block[1]}\n{printed(block[1], folder)}```", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
