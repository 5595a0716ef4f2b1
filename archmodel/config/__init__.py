"""TOML files -> frozen pydantic models.

Every error is a ConfigError of one line that names file, section, key, value, what is allowed and the nearest name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archmodel.config.files import (
    FOLDERS,
    MAX_FILE_BYTES,
    SINGULAR,
    VARIANTS,
    file_text,
    folder,
    locate,
    merged,
    names,
    parse,
    read,
    variants,
    written,
)
from archmodel.config.overrides import SET, Assignment, override
from archmodel.config.validation import FrozenModel, Model, validate

__all__ = [
    "FOLDERS",
    "MAX_FILE_BYTES",
    "SINGULAR",
    "VARIANTS",
    "Assignment",
    "FrozenModel",
    "checked",
    "file_text",
    "folder",
    "load",
    "locate",
    "merged",
    "names",
    "override",
    "parse",
    "read",
    "validate",
    "variants",
    "written",
]


def load(
    kind: str, name_or_path: str | Path, model: type[Model], assignments: Sequence[str] = (), option: str = SET
) -> Model:
    """Read, override and validate; ``option`` is how messages spell what stands before an assignment."""
    data, source = read(kind, name_or_path)
    return checked(data, source, model, assignments, option)


def checked(
    data: Mapping[str, Any], source: str, model: type[Model], assignments: Sequence[str] = (), option: str = SET
) -> Model:
    """What was ``read``, overridden and validated."""
    changes = [Assignment.of(text, option) for text in assignments]
    return validate(model, override(data, changes, source), source, changes)
