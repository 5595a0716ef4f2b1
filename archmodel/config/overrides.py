"""``section.key=value``: what a command line changes in a file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archmodel.config.files import MAX_DEPTH, parse
from archmodel.errors import SHOWN_CHARACTERS, ConfigError, one_line, show

SET = "--set "
Key = str | int
KeyPath = tuple[Key, ...]


@dataclass(frozen=True)
class Assignment:
    """One change of a file: where, the new value, and how messages call it."""

    path: tuple[str, ...]
    value: Any
    spelt: str

    @classmethod
    def of(cls, text: str, option: str = SET) -> "Assignment":
        """``section.key=value`` as the user wrote it behind ``option``; a value is TOML, a bare word is a string."""
        key, equals, value = text.partition("=")
        spelt = f"{option}{one_line(key, SHOWN_CHARACTERS)}{equals}{one_line(value, SHOWN_CHARACTERS)}"
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not value.strip() or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in path):
            raise ConfigError(f"{spelt}: expected section.key=value")
        if len(path) > MAX_DEPTH:
            raise ConfigError(f"{spelt}: nested deeper than {MAX_DEPTH} levels")
        if re.fullmatch(r"(?!(true|false|inf|nan)$)[A-Za-z_][A-Za-z0-9_./:*-]*", value.strip()):
            return cls(path, value.strip(), spelt)
        try:
            parsed = parse(f"value = {value}", "")
        except ConfigError:
            parsed = {}
        if list(parsed) != ["value"]:
            raise ConfigError(f"{spelt}: expected a TOML value: a number, true, false, 'text' or a [list]")
        return cls(path, parsed["value"], spelt)


def override(data: Mapping[str, Any], assignments: Sequence[Assignment], source: str) -> dict[str, Any]:
    """A copy of ``data`` with every assignment put in; ``validate`` finds whether section and key exist."""
    merged = dict(data)
    for index, one in enumerate(assignments):
        for other in assignments[:index]:
            if other.path[: len(one.path)] == one.path[: len(other.path)]:
                raise ConfigError(f"{one.spelt}: {dotted(other.path)} is already set by another {one.spelt.split()[0]}")
        target = merged
        for depth, part in enumerate(one.path[:-1], start=1):
            section = target.get(part, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{one.spelt}: {dotted(one.path[:depth])} is not a section of {source}")
            target[part] = target = dict(section)
        target[one.path[-1]] = one.value
    return merged


def child(node: Any, part: Key) -> Any:
    if isinstance(node, dict):
        return node.get(part)
    return node[part] if isinstance(node, list) and isinstance(part, int) else None


def dotted(path: KeyPath, data: Any = None) -> str:
    """``pe.rows``; an element of a list of tables by its name where it has one: ``layers[conv1].kernel``."""
    text = ""
    for part in path:
        data = child(data, part)
        if isinstance(part, int):
            name = data.get("name") if isinstance(data, dict) else None
            text += f"[{one_line(name, SHOWN_CHARACTERS) if isinstance(name, str) else part}]"
        else:
            bare = re.fullmatch(r"[\w/-]{1,60}", part)
            text += ("." if text else "") + (part if bare else show(part))
    return text
