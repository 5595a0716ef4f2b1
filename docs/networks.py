"""The table of networks in networks.md, from the files in workloads/.

python docs/networks.py     writes it again
"""

from collections import Counter
from pathlib import Path

from archmodel import config
from archmodel.exchange import read_network
from archmodel.network import Network, Zeros

PAGE = Path(__file__).with_suffix(".md")
START, END = "<!-- networks -->\n", "<!-- end of networks -->\n"


def table() -> str:
    """A row for each network: what it is, its exact totals for one image, and where its zeros come from."""
    rows = [row(read_network(name)) for name in config.names("workloads")]
    heading = "| name | network | layers that multiply | parameters | MACs | zeros from |"
    return "\n".join([heading, "|---|---|---:|---:|---:|---|", *rows, ""])


def row(network: Network) -> str:
    cells = [f"`{network.name}`", f"{network.title}: {network.source}", f"{len(network.compute_layers)}"]
    return "| " + " | ".join([*cells, f"{network.parameters:,}", f"{network.macs:,}", origins(network)]) + " |"


def origin(zeros: Zeros) -> str:
    """The source of published densities; the reasons of stated ones are in the file."""
    if "not published" not in zeros.source:
        return zeros.source
    return "weights real, activations stated" if zeros.weight_mask else "stated"


def origins(network: Network) -> str:
    """Where the densities come from, with the number of layers where there are several sources."""
    known = Counter(origin(zeros) for zeros in network.zeros.values())
    return "; ".join(source if len(known) == 1 else f"{source}: {count}" for source, count in known.items())


def page(text: str) -> str:
    """The text of networks.md with the table as it is now."""
    before, _, rest = text.partition(START)
    return before + START + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
