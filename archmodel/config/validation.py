"""Data against a pydantic model: the first mistake as one line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from archmodel.config.overrides import Assignment, Key, KeyPath, child, dotted
from archmodel.errors import ConfigError, did_you_mean, one_line, show, uncapitalized


class FrozenModel(BaseModel):
    """A section of a configuration: immutable, no unknown keys, no silent conversions, no infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], data: Mapping[str, Any], source: str, assignments: Sequence[Assignment] = ()) -> Model:
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
    place = "" if not path else f"[{dotted(path, data)}]" if isinstance(value, dict) else dotted(path, data)
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
        data = child(data, part)
    return data


def _origin(source: str, mistake: _Mistake, place: str, assignments: Sequence[Assignment]) -> str:
    """The file, or the --set that put the mistake in; a rule about a section names every --set in the section."""
    path, above = mistake.path, []
    for assignment in assignments:
        keys = assignment.path
        if path == keys or (mistake.kind == "extra_forbidden" and keys[: len(path)] == path):
            return assignment.spelt
        if path[: len(keys)] == keys:
            return f"{assignment.spelt}: {place}"
        if keys[: len(path)] == path:
            above.append(assignment.spelt)
    return " with ".join([source, *above]) + (f": {place}" if place else "")


def _unknown_key(model: type[BaseModel], data: Mapping[str, Any], path: KeyPath, value: object) -> str:
    *parents, key = path
    annotations: list[Any] = [model]
    for parent in parents:
        annotations = [below for annotation in annotations for below in _below(annotation, parent)]
    allowed = list(dict.fromkeys(name for annotation in annotations for name in _fields(annotation)))
    where = f"in [{dotted(tuple(parents), data)}]" if parents else "at the top level"
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
    return one_line(uncapitalized(text).replace("must be a valid ", "must be a "))


def _joined(mistakes: Sequence[_Mistake], value: object) -> str:
    """One demand for each branch of a union, read as one sentence."""
    first, *others = dict.fromkeys(mistake.demand for mistake in mistakes)
    sentence = " or ".join([first, *(other.removeprefix("must be ") for other in others)])
    choices = [choice for mistake in mistakes for choice in re.findall("'([^']*)'", mistake.demand)]
    is_choice = any(mistake.kind in ("literal_error", "enum") for mistake in mistakes)
    return sentence + (did_you_mean(value, choices) if is_choice and isinstance(value, str) else "")
