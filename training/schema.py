"""Strict configuration files: typed sections, one YAML file plus overrides, keys explained."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from stance.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: of two sections one would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: list[Any] = []
        for place, _ in node.value:
            if place.tag == "tag:yaml.org,2002:merge":
                continue  # «<<» may stand as often as it likes
            key = self.construct_object(place, deep=True)
            if key in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", place.start_mark
                )
            keys.append(key)
        return super().construct_mapping(node, deep)


class Section(BaseModel):
    """A part of a configuration: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Schema = TypeVar("Schema", bound=Section)


def load(path: Path, schema: type[Schema], overrides: Sequence[str] = ()) -> Schema:
    """Read a YAML file and apply `section.key=value` overrides (values in YAML).

    Raises:
        ConfigError: the file is missing or no YAML mapping, a key is unknown, a value is of the
            wrong type or out of range, or two values contradict each other.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of sections")
    for override in overrides:
        _apply(content, override)
    return validated(content, schema, str(path))


def validated(content: dict[str, Any], schema: type[Schema], origin: str) -> Schema:
    """Check a configuration's content; a ConfigError begins with `origin`."""
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_first_problem(error, schema)}") from None


def _apply(content: dict[str, Any], override: str) -> None:
    name, separator, value = override.partition("=")
    if not separator:
        raise ConfigError(f"--set {override}: write section.key=value")
    try:
        assign(content, name.strip(), yaml.safe_load(value))
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from None


def assign(content: dict[str, Any], name: str, value: Any) -> None:
    """Set `section.key` in a configuration's content.

    Raises:
        ConfigError: something on the way is no section.
    """
    *sections, key = name.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"{name}: {section} is not a section")
    content[key] = value


def _first_problem(error: ValidationError, schema: type[Section]) -> str:
    problem = error.errors()[0]
    # Of several types that a value may have, pydantic names the one it tried: no part of the key.
    parts = [str(part) for part in problem["loc"] if "[" not in str(part)]
    location = ".".join(parts)
    if problem["type"] == "extra_forbidden":
        near = _nearest(parts, schema)
        return f"unknown key {location!r}" + (f"; did you mean {near!r}?" if near else "")
    if problem["type"] == "missing":
        return f"key {location!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # our own words name the values already
        return f"{location}: {message}" if location else message
    return f"{location}: {message} (got {problem['input']!r})"


def _nearest(parts: Sequence[str], schema: type[Section]) -> str | None:
    """The known key most like an unknown one: beside it, else of its name elsewhere."""
    *section, key = parts
    known = [name.split(".") for name, *_ in describe(schema)]
    here = {
        name[len(section)]
        for name in known
        if len(name) > len(section)
        and all(one in (own, "NAME") for one, own in zip(name, section, strict=False))
    }
    if near := difflib.get_close_matches(key, here, n=1):
        return ".".join([*section, near[0]])
    ends = {name[-1]: ".".join(name) for name in reversed(known)}
    near = difflib.get_close_matches(key, ends, n=1)
    return ends[near[0]] if near else None


def describe(schema: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Every key as (dotted name, type, default, description), in order of definition."""
    for name, info in schema.model_fields.items():
        key = f"{prefix}{name}"
        if (section := _section(info.annotation)) is not None:
            named = get_origin(info.annotation) is dict
            yield from describe(section, f"{key}.NAME." if named else f"{key}.")
        else:
            default = "required"
            if not info.is_required():
                value = info.get_default(call_default_factory=True)
                default = value if isinstance(value, str) else json.dumps(value)
            yield key, _spelled(info.annotation), default, info.description or ""


def _section(kind: Any) -> type[BaseModel] | None:
    """The section that a key holds, alone, optional or by name."""
    for one in (kind, *get_args(kind)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _spelled(kind: Any) -> str:
    """A type in plain words."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(map(str, inside))
    if origin in (Union, types.UnionType):
        return " | ".join(_spelled(one) for one in inside)
    if origin is tuple:
        return f"list of {_spelled(inside[0])}"
    if origin is dict:
        return f"{_spelled(inside[0])}: {_spelled(inside[1])}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"{{{', '.join(kind.model_fields)}}}"
    names = {Any: "value", str: "text", int: "whole number", float: "number", bool: "true | false"}
    return "null" if kind is type(None) else names.get(kind, str(kind))
