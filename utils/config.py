"""TOML configs into dataclasses: typed, with dotted overrides, and no key that goes unnoticed.

A config class is a (nested) dataclass whose fields are bool, int, float, str, a list of one of
those, or another dataclass. `load` fills it from a file and from `--set section.key=value`
overrides; what is absent keeps the dataclass's default. Every number has bounds (bounds.py). Keys
that people know from elsewhere are in a class's `GONE`, with what to write instead. Only `bin/` and
`nnet/tasks/` handle config objects: functions below them take the values that they use.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import textwrap
import tomllib
import typing
from pathlib import Path
from typing import Any, TypeVar

from chainstitch.utils import text as texts
from chainstitch.utils.bounds import Bounds, bounds_of, interval
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file

T = TypeVar("T")
MAX_SHOWN = 100  # letters of a wrong value that a message shows


def load(path: Path | str, cls: type[T], overrides: typing.Sequence[str] = ()) -> T:
    """Reads `path` (TOML) and the overrides ("a.b=value", value in TOML syntax or a bare string).

    Raises:
        UsageError: no such file, bad TOML or UTF-8, an unknown key (the nearest known one is
            named), a value of the wrong type, a number that is not finite or out of bounds.
    """
    return load_tree(cls, read_toml(path), overrides, str(path))


def load_tree(cls: type[T], tree: dict[str, Any], overrides: typing.Sequence[str], where: str) -> T:
    """The same of what a file said, or of {} where there is none; `where` is it in errors."""
    for override in overrides:
        _apply_override(tree, override)
    return build(cls, tree, where)


def read_toml(path: Path | str) -> dict[str, Any]:
    """What a TOML file says, unchecked.

    Raises:
        UsageError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(texts.read(path))
    except FileNotFoundError:
        raise UsageError(f"config {path} does not exist; give the path of a .toml file") from None
    except OSError as error:
        raise UsageError(f"config {path} cannot be read: {error.strerror}") from None
    except UserError as error:
        raise UsageError(f"config {error}") from None
    except (ValueError, RecursionError) as error:  # numbers of 5,000 digits, 1,000 brackets
        raise UsageError(f"config {path} is not valid TOML: {error}") from None


def build(cls: type[T], tree: dict[str, Any], where: str, prefix: str = "") -> T:
    """Fills dataclass `cls` from nested dicts; `where` names the source in errors."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    types, bounds = typing.get_type_hints(cls), bounds_of(cls)
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if key in getattr(cls, "GONE", {}):
            raise UsageError(f"{where}: {prefix}{key} is gone: {cls.GONE[key]}")  # type: ignore[attr-defined]
        if key not in fields:
            raise UsageError(_unknown_key(prefix + key, [prefix + name for name in fields], where))
        values[key] = _convert(types[key], value, where, prefix + key, bounds.get(key))
    missing = [
        prefix + f.name
        for f in fields.values()
        if f.name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{where}: missing key {missing[0]!r}; add it to the file")
    try:
        return cls(**values)
    except ValueError as error:  # from a __post_init__ check
        raise UsageError(f"{where}: {error}") from None


def save(config: Any, path: Path | str) -> None:
    """Writes a config dataclass as TOML that `load` reads back to an equal object."""
    with atomic_file(path) as stream:
        stream.write(dumps(config))


def dumps(config: Any) -> str:
    """A config dataclass as TOML text."""
    lines: list[str] = []
    _dump_table(dataclasses.asdict(config), "", lines)
    return "\n".join(lines).strip() + "\n"


def explain(cls: type[Any]) -> str:
    """What a config may say, as TOML: every key with its default, and its meaning behind it.

    A field's meaning is `help` in its metadata, and what it may be, `bounds`. A key without a
    default is shown as a comment.
    """
    return "\n".join(_explain(cls, "")).strip() + "\n"


def _explain(cls: type[Any], prefix: str) -> list[str]:
    types = typing.get_type_hints(cls)
    keys, sections = [], []
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(types[field.name]):
            name = f"{prefix}{field.name}"
            inner = _explain(typing.cast(type, types[field.name]), f"{name}.")
            sections += ["", f"[{name}]", *inner] if inner[0] else inner
            continue
        if field.default is not dataclasses.MISSING:
            said = f"{field.name} = {_dump_value(field.default)}"
        elif field.default_factory is not dataclasses.MISSING:
            said = f"{field.name} = {_dump_value(field.default_factory())}"
        else:
            said = f"# {field.name} = ... (wanted)"
        help_ = field.metadata.get("help", "")
        if "bounds" in field.metadata:
            help_ += f" ({interval(field.metadata['bounds'])})"
        keys += textwrap.wrap(help_, 96, initial_indent="# ", subsequent_indent="# ")
        keys.append(said)
    return keys + sections


def _dump_table(table: dict[str, Any], prefix: str, lines: list[str]) -> None:
    for key, value in table.items():
        if not isinstance(value, dict):
            lines.append(f"{key} = {_dump_value(value)}")
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", f"[{prefix}{key}]"]
            _dump_table(value, f"{prefix}{key}.", lines)


def _dump_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_dump_value(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # as in TOML
    return repr(value)


def _apply_override(tree: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator or not name.strip():
        raise UsageError(f"--set {override!r}: wanted section.key=value, e.g. optim.final_lr=1e-4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--set {override[:60]!r}: {error}") from None
    node = tree
    *sections, key = name.strip().split(".")
    for section in sections:
        node = node.setdefault(section, {})
        if not isinstance(node, dict):
            raise UsageError(f"--set {override!r}: {section!r} is a value, not a section")
    node[key] = value


def _convert(wanted: Any, value: Any, where: str, key: str, bounds: Bounds | None) -> Any:
    if dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            raise UsageError(f"{where}: {key} is a section, found the value {_shown(value)}")
        return build(typing.cast(type, wanted), value, where, prefix=key + ".")
    if typing.get_origin(wanted) is list:
        (item,) = typing.get_args(wanted)
        if not isinstance(value, list):
            raise UsageError(f"{where}: {key} wants a list, found {_shown(value)}")
        return [_convert(item, v, where, key, bounds) for v in value]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if type(value) is not wanted:
        raise UsageError(
            f"{where}: {key} wants a value of type {wanted.__name__}, found {_shown(value)}"
        )
    if wanted is float and not math.isfinite(value):
        raise UsageError(f"{where}: {key} wants a finite number, found {value!r}")
    if bounds is not None and not bounds.holds(value):
        raise UsageError(f"{where}: {key} wants {bounds}, found {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _unknown_key(key: str, known: list[str], where: str) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"{where}: unknown key {key!r}; {hint}"
