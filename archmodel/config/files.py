"""From a name or a path to the data of a TOML file."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archmodel.errors import SHOWN_CHARACTERS, ConfigError, did_you_mean, one_line, show, uncapitalized

FOLDERS = {
    kind: f"configs/{kind}"
    for kind in (
        *("accelerators", "memory", "links", "devices", "systems", "dma", "technology", "spaces", "zeros", "densities"),
        "published",
    )
} | {"workloads": "workloads"}
SINGULAR = {
    "workloads": "network",
    "memory": "memory",
    "technology": "technology",
    "zeros": "pattern of zeros",
    "densities": "profile of densities",
    "dma": "DMA engine",
    "published": "published table",
}

# Sections of named sets of changes to the rest of the file, of which a run can ask for one.
VARIANTS = {"accelerators": "precisions"}
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16


def folder(kind: str) -> Path:
    """The folder that holds the files of ``kind``, in a checkout and in an installed wheel alike."""
    if kind not in FOLDERS:
        raise ConfigError(
            f"{show(kind)}: unknown kind of configuration; allowed: {', '.join(FOLDERS)}{did_you_mean(kind, FOLDERS)}"
        )
    top, *below = FOLDERS[kind].split("/")
    here = Path(__file__).resolve().parents[1]
    root = here if (here / top).is_dir() else here.parent
    return root.joinpath(top, *below)


def names(kind: str) -> list[str]:
    """The names that ``read`` accepts for ``kind``: the stems of its TOML files, sorted."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def locate(kind: str, name_or_path: str | Path) -> tuple[Path, str]:
    """The file meant by a bare name or a path, and how messages call it; the file of a path need not exist."""
    name = str(name_or_path)
    if name in (known := names(kind)):
        return folder(kind) / f"{name}.toml", f"{FOLDERS[kind]}/{name}.toml"
    if "\0" not in name and (Path(name).suffix or "/" in name or os.sep in name):
        return Path(name), one_line(name, 4 * SHOWN_CHARACTERS)
    noun = SINGULAR.get(kind, kind.removesuffix("s"))
    raise ConfigError(
        f"{show(name)}: unknown {noun}; allowed: {', '.join(known) or 'none'}"
        f" or the path of a .toml file{did_you_mean(name, known)}"
    )


def read(kind: str, name_or_path: str | Path) -> tuple[dict[str, Any], str]:
    """The parsed TOML of a bare name or a path without its ``variants``, and how messages call the file.

    A file with the key ``base``, a bare name of its kind, holds only what differs from that file.
    """
    data, _, source = _read(kind, name_or_path)
    return data, source


def variants(kind: str, name_or_path: str | Path) -> dict[str, dict[str, Any]]:
    """The named sets of changes that a file has for itself, its base's where it has none of its own."""
    return _read(kind, name_or_path)[1]


def _read(kind: str, name_or_path: str | Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]], str]:
    """A file upon its base, its variants, and how messages call the file."""
    data, _, source = written(kind, name_or_path)
    found = _taken(data, kind, source)
    if "base" not in data:
        return data, found or {}, source
    base, known = data.pop("base"), names(kind)
    if base not in known:
        raise ConfigError(f"{source}: base = {show(base)}: allowed: {', '.join(known)}{did_you_mean(str(base), known)}")
    below, _, source_below = written(kind, base)
    if "base" in below:
        raise ConfigError(f"{source}: base = {show(base)}: has a base itself")
    of_base = _taken(below, kind, source_below)
    return merged(below, data), (of_base if found is None else found) or {}, source


def _taken(data: dict[str, Any], kind: str, source: str) -> dict[str, dict[str, Any]] | None:
    """The variants that stand in a file, taken out of its data; None without a section of them."""
    if kind not in VARIANTS or VARIANTS[kind] not in data:
        return None
    found = data.pop(VARIANTS[kind])
    if not isinstance(found, dict):
        raise ConfigError(f"{source}: {VARIANTS[kind]} = {show(found)}: must be a section")
    for name, changes in found.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
            raise ConfigError(f"{source}: {VARIANTS[kind]}: {show(name)}: must be 1 to 32 letters, digits, _ or -")
        if not isinstance(changes, dict):
            raise ConfigError(f"{source}: {VARIANTS[kind]}.{name} = {show(changes)}: must be a section")
    return found


def written(kind: str, name_or_path: str | Path) -> tuple[dict[str, Any], str, str]:
    """What stands in the one file that is meant, its base apart: parsed, as text, and how messages call the file."""
    path, source = locate(kind, name_or_path)
    text = file_text(path, source)
    return parse(text, source), text, source


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`, section by section."""
    both = dict(below)
    for key, value in above.items():
        under = both.get(key)
        both[key] = merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return both


def parse(text: str, source: str) -> dict[str, Any]:
    """TOML text as a dict; syntax errors and repeated keys name line and column."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {_syntax_message(str(error), text)}") from None
    except ValueError:  # Python's limit on the digits of an integer
        raise ConfigError(f"{source}: a number has too many digits") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested deeper than {MAX_DEPTH} levels") from None
    _check_depth(data, source)
    return data


def file_text(path: Path, source: str, suffix: str = ".toml") -> str:
    """The text of a file of at most MAX_FILE_BYTES; ConfigError where it is none, and if it is no UTF-8."""
    try:
        if path.is_dir():
            raise ConfigError(f"{source}: is a folder, not a {suffix} file")
        if path.exists() and not path.is_file():
            raise ConfigError(f"{source}: is not a regular file")
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise ConfigError(f"{source}: {size_bytes} bytes; a configuration has at most {MAX_FILE_BYTES}")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{source}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {one_line(error.strerror or str(error))}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not UTF-8 text (byte {error.start})") from None


def _syntax_message(message: str, text: str) -> str:
    lines = text.split("\n")
    what, line, column = message, len(lines), len(lines[-1]) + 1  # where tomllib says "at end of document"
    if match := re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL):
        what = match[1]
        line, column = (int(match[2]), int(match[3])) if match[2] else (line, column)
    if what in ("Cannot overwrite a value", "Cannot mutate immutable namespace") or what.endswith("twice"):
        what = "repeated key or section"
    excerpt = lines[line - 1].strip()
    where = f"line {line}, column {column}"
    return f"{where}: {one_line(uncapitalized(what))}" + (f" in {show(excerpt)}" if excerpt else "")


def _check_depth(data: Mapping[str, Any], source: str) -> None:
    level: list[object] = [data]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
    if level:
        raise ConfigError(f"{source}: nested deeper than {MAX_DEPTH} levels")


def _children(node: object) -> Sequence[object]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else ()
