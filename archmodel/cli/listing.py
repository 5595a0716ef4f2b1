"""``archmodel list``: the names that the other verbs accept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from archmodel import config
from archmodel.cli.common import json_option, print_json
from archmodel.errors import did_you_mean, show

# What the user calls a kind -> its kind in archmodel.config.
KINDS = {
    "accelerators": "accelerators",
    "networks": "workloads",
    "memory": "memory",
    "technology": "technology",
    "links": "links",
    "devices": "devices",
    "systems": "systems",
    "dma": "dma",
    "zeros": "zeros",
    "densities": "densities",
}


@click.command("list")
@click.argument("kind", required=False, metavar=f"[{'|'.join(KINDS)}]")
@json_option
def list_names(kind: str | None, *, as_json: bool) -> None:
    """List names with their titles, of one kind or of all.

    `list networks` adds the densities of all weights (w) and of all inputs of the layers that multiply (in), as a run
    takes them by default: w 1.00 is not pruned.
    """
    if kind is not None and kind not in KINDS:
        raise click.UsageError(
            f"{show(kind)}: unknown kind; allowed: {', '.join(KINDS)}{did_you_mean(kind, KINDS)}",
            click.get_current_context(),
        )
    listing = {name: entries(KINDS[name], described=kind is not None) for name in ([kind] if kind else KINDS)}
    if as_json:
        print_json(listing)
        return
    width = max((len(entry["name"]) for found in listing.values() for entry in found), default=0)
    for name, found in listing.items():
        if kind is None:
            click.echo(f"{name}:")
        margin = "" if kind else "  "
        for entry in found:
            density = "" if "weight_density" not in entry else f"{spelt(entry)}  "
            click.echo(f"{margin}{entry['name']:<{width}}  {density}{entry['title']}".rstrip())


def entries(kind: str, *, described: bool = False) -> list[dict[str, Any]]:
    """Name and one-line title of every file of a kind of ``archmodel.config``; `described` networks have densities."""
    found = []
    for name in config.names(kind):
        data, _ = config.read(kind, name)
        entry = {"name": name, "title": title(data, config.folder(kind) / f"{name}.toml")}
        found.append(entry | (densities(name) if described and kind == "workloads" else {}))
    return found


def densities(network_name: str) -> dict[str, float | None]:
    """Non-zero fraction of the weights of a network and of the inputs of its layers that multiply; None if unknown."""
    from archmodel.cli.show import describe_layer, network_totals
    from archmodel.exchange import read_network

    network = read_network(network_name)
    layers = [describe_layer(network, layer) for layer in network.compute_layers]
    sums = network_totals(layers)
    known = [(layer["input_density"], layer["input_bytes"]) for layer in layers]
    weights, inputs = sums["weight_nonzeros"], None
    if all(share is not None for share, _ in known):
        inputs = sum(share * part for share, part in known) / sum(part for _, part in known)
    return {
        "weight_density": None if weights is None else weights / (sums["weight_words"] or 1),
        "input_density": inputs,
    }


def spelt(entry: Mapping[str, Any]) -> str:
    """`w 0.35  in 0.62`; blank where a density is not known."""
    shares = {"w": entry["weight_density"], "in": entry["input_density"]}
    return "  ".join(f"{name} {'    ' if share is None else format(share, '.2f')}" for name, share in shares.items())


def title(data: dict[str, Any], path: Path) -> str:
    """The ``title`` of a file, else its ``name``, else its first comment line."""
    for key in ("title", "name"):
        if isinstance(data.get(key), str):
            return str(data[key])
    comments = (line.lstrip("# ").rstrip() for line in path.read_text("utf-8").splitlines() if line.startswith("#"))
    return next(comments, "")
