"""Configurations as `show` prints them: of which kind a file is, whether it holds, and what is left of its base."""

import re
from collections.abc import Mapping
from typing import Any

import click

from archmodel import config
from archmodel.cli.common import print_json
from archmodel.errors import ConfigError, did_you_mean, show

# In this order: the first that has the name is meant.
# fmt: off
KINDS = (
    "accelerators", "workloads", "memory", "links", "devices", "systems", "dma", "technology", "zeros", "densities",
)
# fmt: on
CHECKED = ("accelerators", "memory", "links", "devices", "systems", "dma", "technology", "zeros", "densities")
HEADING = re.compile(r"\[([\w.-]+)\]\s*(#.*)?")
KEY = re.compile(r"\s*([\w.-]+)\s*=")
NO_BRACKETS = re.compile(r'"[^"]*"|\'[^\']*\'|#.*')  # texts and comments, whose brackets open nothing


def kind_of_file(path: str) -> str:
    """The kind of a TOML file: that of its base, a network where it has layers, else the one that shares most keys."""
    data, _, source = config.written("workloads", path)
    if "base" in data:
        return kind_of_base(data["base"], source)
    if "layers" in data:
        return "workloads"
    shared = {
        kind: max(len(data.keys() & config.read(kind, name)[0].keys()) for name in config.names(kind))
        for kind in CHECKED
    }
    nearest = max(CHECKED, key=lambda kind: shared[kind])
    if not shared[nearest]:
        allowed = ", ".join(config.SINGULAR.get(kind, kind.removesuffix("s")) for kind in ("workloads", *CHECKED))
        raise ConfigError(f"{source}: {'no key that is known' if data else 'is empty'}; allowed: the keys of {allowed}")
    return nearest


def kind_of_base(base: object, source: str) -> str:
    """The kind that has a file of this name."""
    found = [kind for kind in KINDS if base in config.names(kind)]
    if len(found) == 1:
        return found[0]
    where = f"{source}: base = {show(base)}"
    if found:
        raise ConfigError(f"{where}: a name in each of {', '.join(found)}: a run knows which is meant, show does not")
    nearest = did_you_mean(str(base), [name for kind in KINDS for name in config.names(kind)])
    raise ConfigError(f"{where}: allowed: a name of 'archmodel list'{nearest}")


def show_file(kind: str, name: str, as_json: bool) -> None:
    """Print a configuration as it is written, its comments being the sources, then what it has of its base.

    A file of the user's own is checked as a run does it.
    """
    own, text, source = config.written(kind, name)
    if name not in config.names(kind):
        check(kind, name)
    if as_json:
        print_json(document(kind, name))
        return
    below = None if "base" not in own else config.written(kind, own["base"])
    click.echo(f"# {source}\n\n{text.rstrip()}")
    if below is not None:
        base_data, base_text, base_source = below
        click.echo(f"\n# From its base, {base_source}:\n\n{still_holds(base_text, base_data, own)}")


def document(kind: str, name: str) -> dict[str, Any]:
    """A configuration as `show --json` prints it."""
    own, _, source = config.written(kind, name)
    base = {} if "base" not in own else {"base": config.written(kind, own["base"])[2]}
    sets = {config.VARIANTS[kind]: config.variants(kind, name)} if kind in config.VARIANTS else {}
    singular = config.SINGULAR.get(kind, kind.removesuffix("s"))
    return {"kind": singular, "file": source, **base, "values": config.read(kind, name)[0], **sets}


def check(kind: str, path: str) -> None:
    """Raise ConfigError unless a run would take the file."""
    if kind == "accelerators":
        from archmodel.accelerators.registry import load_machine

        load_machine(path)
    elif kind == "memory":
        from archmodel.memory.dram import load_memory

        load_memory(path)
    elif kind == "links":
        from archmodel.interconnect.link import load_link

        load_link(path)
    elif kind == "devices":
        from archmodel.training.devices import open_device

        open_device(path)
    elif kind == "systems":
        from archmodel.training.systems import load_system

        load_system(path)
    elif kind == "technology":
        from archmodel.memory.technology import load_technology

        load_technology(path)
    elif kind == "zeros":
        from archmodel.operands.correlated import CorrelatedZeros

        config.load(kind, path, CorrelatedZeros)
    elif kind == "dma":
        from archmodel.training.dma_config import load_dma_config

        load_dma_config(path)
    elif kind == "densities":
        from archmodel.training.map_densities import load_profile

        load_profile(path)


def still_holds(text: str, data: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The lines of a base, `text` of `data`, that `own` does not replace, with their comments and sections.

    Sets of changes, as precisions, are those of the file alone where it has any.
    """
    whole = {name for name in config.VARIANTS.values() if name in own}
    sections: list[list[str]] = [[]]
    num_keys = [1]  # what stands above the first section is kept without a key: it has the sources
    path: tuple[str, ...] = ()
    replaced, depth = False, 0  # depth: brackets that a value has opened on lines above
    for line in text.splitlines():
        heading, key = HEADING.fullmatch(line.strip()), KEY.match(line)
        if heading and isinstance(value_at(data, tuple(heading[1].split("."))), Mapping):
            path, replaced = tuple(heading[1].split(".")), False
            sections.append([])
            num_keys.append(0)
        elif key:
            replaced = not whole.isdisjoint(path[:1]) or value_at(own, (*path, *key[1].split("."))) is not None
            num_keys[-1] += not replaced
        elif depth == 0:
            replaced = False
        if depth or key:
            bare = NO_BRACKETS.sub("", line)
            depth += sum(map(bare.count, "[{")) - sum(map(bare.count, "]}"))
        if not replaced:
            sections[-1].append(line)
    kept = ["\n".join(lines).strip("\n") for lines, count in zip(sections, num_keys, strict=True) if count]
    return "\n\n".join(section for section in kept if section)


def value_at(data: Any, path: tuple[str, ...]) -> Any:
    """The value at a dotted key, None if there is none."""
    for part in path:
        if not isinstance(data, Mapping) or part not in data:
            return None
        data = data[part]
    return data
