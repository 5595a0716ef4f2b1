"""``archmodel list``: the names that the other verbs accept."""

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
    "systems": "systems",
    "zeros": "zeros",
}


@click.command("list")
@click.argument("kind", required=False, metavar=f"[{'|'.join(KINDS)}]")
@json_option
def list_names(kind: str | None, *, as_json: bool) -> None:
    """List names with their titles, of one kind or of all."""
    if kind is not None and kind not in KINDS:
        raise click.UsageError(
            f"{show(kind)}: unknown kind; allowed: {', '.join(KINDS)}{did_you_mean(kind, KINDS)}",
            click.get_current_context(),
        )
    listing = {name: entries(KINDS[name]) for name in ([kind] if kind else KINDS)}
    if as_json:
        print_json(listing)
        return
    width = max((len(entry["name"]) for found in listing.values() for entry in found), default=0)
    for name, found in listing.items():
        if kind is None and not found:
            continue
        if kind is None:
            click.echo(f"{name}:")
        margin = "" if kind else "  "
        for entry in found:
            click.echo(f"{margin}{entry['name']:<{width}}  {entry['title']}".rstrip())


def entries(kind: str) -> list[dict[str, str]]:
    """Name and one-line title of every file of a kind of ``archmodel.config``."""
    found = []
    for name in config.names(kind):
        data, _ = config.read(kind, name)
        found.append({"name": name, "title": title(data, config.folder(kind) / f"{name}.toml")})
    return found


def title(data: dict[str, Any], path: Path) -> str:
    """The ``title`` of a file, else its ``name``, else its first comment line."""
    for key in ("title", "name"):
        if isinstance(data.get(key), str):
            return str(data[key])
    comments = (line.lstrip("# ").rstrip() for line in path.read_text("utf-8").splitlines() if line.startswith("#"))
    return next(comments, "")
