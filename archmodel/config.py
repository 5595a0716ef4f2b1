"""TOML files -> frozen pydantic models.

Every error is a ConfigError of one line that names file, section, key, value, what is allowed and the nearest name.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from archmodel.errors import SHOWN_CHARACTERS, ConfigError, did_you_mean, one_line, show

FOLDERS = {
    kind: f"configs/{kind}"
    for kind in ("accelerators", "memory", "links", "devices", "systems", "technology", "spaces", "zeros", "published")
} | {"workloads": "workloads"}
SINGULAR = {
    "workloads": "network",
    "memory": "memory",
    "technology": "technology",
    "zeros": "pattern of zeros",
    "published": "published table",
}

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16

Key = str | int
KeyPath = tuple[Key, ...]


class FrozenModel(BaseModel):
    """A section of a configuration: immutable, no unknown keys, no silent conversions, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


Model = TypeVar("Model", bound=BaseModel)


# Files


def folder(kind: str) -> Path:
    """The folder that holds the files of ``kind``, in a checkout and in an installed wheel alike."""
    if kind not in FOLDERS:
        raise ConfigError(
            f"{show(kind)}: unknown kind of configuration; allowed: {', '.join(FOLDERS)}{did_you_mean(kind, FOLDERS)}"
        )
    top, *below = FOLDERS[kind].split("/")
    here = Path(__file__).resolve().parent
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
    """The parsed TOML of a bare name or a path, and how messages call the file.

    A file with the key ``base``, a bare name of its kind, holds only what differs from that file.
    """
    path, source = locate(kind, name_or_path)
    data = parse(_file_text(path, source), source)
    if "base" not in data:
        return data, source
    base, known = data.pop("base"), names(kind)
    if base not in known:
        raise ConfigError(f"{source}: base = {show(base)}: allowed: {', '.join(known)}{did_you_mean(str(base), known)}")
    base_path, base_source = locate(kind, base)
    below = parse(_file_text(base_path, base_source), base_source)
    if "base" in below:
        raise ConfigError(f"{source}: base = {show(base)}: has a base itself")
    return _merged(below, data), source


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`, section by section."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


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


def _file_text(path: Path, source: str) -> str:
    try:
        if path.is_dir():
            raise ConfigError(f"{source}: is a folder, not a .toml file")
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
    return f"{where}: {one_line(_uncapitalized(what))}" + (f" in {show(excerpt)}" if excerpt else "")


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


# Overrides


def override(data: Mapping[str, Any], assignments: Sequence[str], source: str) -> dict[str, Any]:
    """A copy of ``data`` with every ``section.key=value`` put in.

    A value is TOML, a bare word is a string. Whether the section and the key exist is found by ``validate``.
    """
    merged = dict(data)
    seen: list[KeyPath] = []
    for assignment in assignments:
        path, value = _split(assignment)
        for other in seen:
            if other[: len(path)] == path[: len(other)]:
                raise ConfigError(f"{_set_name(assignment)}: {_dotted(other)} is already set by another --set")
        seen.append(path)
        target = merged
        for depth, part in enumerate(path[:-1], start=1):
            section = target.get(part, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{_set_name(assignment)}: {_dotted(path[:depth])} is not a section of {source}")
            target[part] = target = dict(section)
        target[path[-1]] = value
    return merged


def _split(assignment: str) -> tuple[tuple[str, ...], Any]:
    key, equals, text = assignment.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not text.strip() or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in path):
        raise ConfigError(f"{_set_name(assignment)}: expected section.key=value")
    if len(path) > MAX_DEPTH:
        raise ConfigError(f"{_set_name(assignment)}: nested deeper than {MAX_DEPTH} levels")
    if re.fullmatch(r"(?!(true|false|inf|nan)$)[A-Za-z_][A-Za-z0-9_./:*-]*", text.strip()):
        return path, text.strip()
    try:
        parsed = parse(f"value = {text}", "")
    except ConfigError:
        parsed = {}
    if list(parsed) != ["value"]:
        raise ConfigError(f"{_set_name(assignment)}: expected a TOML value: a number, true, false, 'text' or a [list]")
    return path, parsed["value"]


def _set_name(assignment: str) -> str:
    key, equals, value = assignment.partition("=")
    return f"--set {one_line(key, SHOWN_CHARACTERS)}{equals}{one_line(value, SHOWN_CHARACTERS)}"


# Validation


def load(kind: str, name_or_path: str | Path, model: type[Model], assignments: Sequence[str] = ()) -> Model:
    """Read, override and validate."""
    data, source = read(kind, name_or_path)
    return validate(model, override(data, assignments, source), source, assignments)


def validate(model: type[Model], data: Mapping[str, Any], source: str, assignments: Sequence[str] = ()) -> Model:
    """``data`` as a ``model``, or a ConfigError about its first mistake: an unknown key before a wrong value before a
    missing key. A mistake at one of the ``assignments`` already merged into ``data`` names it as the source."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [_Mistake.of(data, one) for one in error.errors(include_url=False)]
    # Of the branches of a union, the one that came further into the data is the one meant.
    above = {one.path[:depth] for one in found for depth in range(len(one.path))}
    deepest = [one for one in found if one.path not in above]
    first = min(deepest, key=lambda one: one.rank)
    path, value = first.path, _value_at(data, first.path)
    if first.kind == "extra_forbidden":
        message = _unknown_key(model, data, path, value)
    else:
        message = _joined([one for one in deepest if one.path == path], value)
    place = "" if not path else f"[{_dotted(path, data)}]" if isinstance(value, dict) else _dotted(path, data)
    if path and not isinstance(value, dict) and first.kind != "missing":
        place += f" = {show(value)}"
    where = _origin(source, first, place, assignments)
    raise ConfigError(f"{where}: {message}")


@dataclass(frozen=True)
class _Mistake:
    """One of pydantic's findings: where it is in the data, its kind, and what would be right there."""

    path: KeyPath
    kind: str
    demand: str

    @property
    def rank(self) -> int:
        return {"extra_forbidden": 0, "missing": 2}.get(self.kind, 1)

    @staticmethod
    def of(data: Mapping[str, Any], error: Any) -> "_Mistake":
        """Pydantic's location also names branches of unions and validators: what is not in the data is left out."""
        path: list[Key] = []
        node: Any = data
        *_, last = error["loc"] or ("",)
        for part in error["loc"]:
            if (isinstance(node, dict) and part in node) or (isinstance(node, list) and part in range(len(node))):
                node = node[part]
                path.append(part)
        if error["type"] == "missing" and isinstance(node, dict):
            return _Mistake((*path, last), "missing", "required key is missing")
        if error["type"] == "missing":
            return _Mistake(tuple(path), "too_short", "has too few values")
        return _Mistake(tuple(path), error["type"], _demand(error))


def _value_at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = _child(data, part)
    return data


def _child(node: Any, part: Key) -> Any:
    if isinstance(node, dict):
        return node.get(part)
    return node[part] if isinstance(node, list) and isinstance(part, int) else None


def _dotted(path: KeyPath, data: Any = None) -> str:
    """``pe.rows``; an element of a list of tables by its name where it has one: ``layers[conv1].kernel``."""
    text = ""
    for part in path:
        data = _child(data, part)
        if isinstance(part, int):
            name = data.get("name") if isinstance(data, dict) else None
            text += f"[{one_line(name, SHOWN_CHARACTERS) if isinstance(name, str) else part}]"
        else:
            bare = re.fullmatch(r"[\w/-]{1,60}", part)
            text += ("." if text else "") + (part if bare else show(part))
    return text


def _origin(source: str, mistake: _Mistake, place: str, assignments: Sequence[str]) -> str:
    """The file, or the --set that put the mistake in; a rule about a section names every --set in the section."""
    path, above = mistake.path, []
    for assignment in assignments:
        keys, _ = _split(assignment)
        if path == keys or (mistake.kind == "extra_forbidden" and keys[: len(path)] == path):
            return _set_name(assignment)
        if path[: len(keys)] == keys:
            return f"{_set_name(assignment)}: {place}"
        if keys[: len(path)] == path:
            above.append(_set_name(assignment))
    return " with ".join([source, *above]) + (f": {place}" if place else "")


def _unknown_key(model: type[BaseModel], data: Mapping[str, Any], path: KeyPath, value: object) -> str:
    *parents, key = path
    annotations: list[Any] = [model]
    for parent in parents:
        annotations = [below for annotation in annotations for below in _below(annotation, parent)]
    allowed = list(dict.fromkeys(name for annotation in annotations for name in _fields(annotation)))
    where = f"in [{_dotted(tuple(parents), data)}]" if parents else "at the top level"
    noun = "section" if isinstance(value, dict) else "key"
    return f"unknown {noun} {where}; allowed: {', '.join(allowed)}{did_you_mean(str(key), allowed)}"


def _branches(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type: members of a union, the type inside Annotated."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _branches(member)
    else:
        yield annotation


def _below(annotation: Any, key: Key) -> Iterator[Any]:
    """The types that the value under ``key`` may have."""
    for branch in _branches(annotation):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            for name, field in branch.model_fields.items():
                if key == (field.alias or name):
                    yield field.annotation
        else:
            yield from get_args(branch)[-1:] if get_origin(branch) is dict else get_args(branch)


def _fields(annotation: Any) -> Iterator[str]:
    for branch in _branches(annotation):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            yield from (field.alias or name for name, field in branch.model_fields.items())


# Where pydantic's own words would not be a user's. Names in braces come from the error's context.
_DEMANDS = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be a section",
    "dict_type": "must be a section",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "too_short": "must have at least {min_length} values",
    "too_long": "must have at most {max_length} values",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "union_tag_not_found": "required key {discriminator} is missing",
}


def _demand(error: Any) -> str:
    context = {key: int(x) if isinstance(x, float) and x.is_integer() else x for key, x in error.get("ctx", {}).items()}
    if error["type"] in _DEMANDS:
        return _DEMANDS[error["type"]].format(**context)
    if "error" in context:  # the ValueError of a validator of ours
        return one_line(str(context["error"]))
    text = error["msg"].replace("Input should be ", "must be ").replace("a valid integer", "an integer")
    return one_line(_uncapitalized(text).replace("must be a valid ", "must be a "))


def _uncapitalized(text: str) -> str:
    """A sentence as the rest of a line; names such as K and PE keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _joined(mistakes: Sequence[_Mistake], value: object) -> str:
    """One demand for each branch of a union, read as one sentence."""
    first, *others = dict.fromkeys(mistake.demand for mistake in mistakes)
    sentence = " or ".join([first, *(other.removeprefix("must be ") for other in others)])
    choices = [choice for mistake in mistakes for choice in re.findall("'([^']*)'", mistake.demand)]
    is_choice = any(mistake.kind in ("literal_error", "enum") for mistake in mistakes)
    return sentence + (did_you_mean(value, choices) if is_choice and isinstance(value, str) else "")
