"""The table of weights by format in encodings.md.

python docs/encodings.py     writes it again
"""

from pathlib import Path

import archmodel

PAGE = Path(__file__).with_suffix(".md")
START, END = "<!-- weights -->\n", "<!-- end of weights -->\n"
NETWORKS = ("lenet300_100", "squeezenet_pruned", "alexnet", "vgg16")
BITS = 8


def table() -> str:
    """A row for each network: KiB of all weights in every format, and of every layer in its smallest."""
    totals = {name: archmodel.inspect(name, bits=BITS, encodings=True).totals for name in NETWORKS}
    formats = list(totals[NETWORKS[0]]["weight_encodings"])
    heading = " | ".join(["network", "density", *(f"`{name}`" for name in formats[:-1]), "each its smallest"])
    rows = [row(name, found, formats) for name, found in totals.items()]
    return "\n".join([f"| {heading} |", "|---|" + "---:|" * (len(formats) + 1), *rows, ""])


def row(name: str, found: dict, formats: list[str]) -> str:
    """KiB by format."""
    sizes = [f"{found['weight_encodings'][one] / 1024:,.0f}" for one in formats]
    return f"| `{name}` | {found['weight_density']:.3f} | " + " | ".join(sizes) + " |"


def page(text: str) -> str:
    """The page with the table of today."""
    before, _, rest = text.partition(START)
    return before + START + "\n" + table() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
