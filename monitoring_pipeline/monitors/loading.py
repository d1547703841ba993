"""Reading declarations from YAML: every mistake with its file, its line, its field and what to write instead."""

from __future__ import annotations

import difflib
import functools
import math
import reprlib
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from monitoring_pipeline.errors import DeclarationError, storable
from monitoring_pipeline.monitors.bounded_yaml import MOST_BYTES, OutOfBoundsError, compose, construct
from monitoring_pipeline.monitors.declaration import Monitor

SUFFIXES = (".yaml", ".yml")
FLOAT = "tag:yaml.org,2002:float"
NOT_FINITE = "is no finite number"
FINITE = "write a number that is never reached, such as 1e9, where nothing is to be too much"
Location = tuple[str | int, ...]
# What stands in for a required key that is wrong, so that checks across keys still run over the rest.
_STAND_INS: dict[str, Any] = {
    "name": "x",
    "start": date(2000, 1, 1),
    "predictions": {"path": "x"},
    "reference": {"path": "x"},
}


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake. ``field`` is dotted, such as ``schema.numerical[2]``; ``line`` counts from 1."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{storable(self.file)}:{self.line}: {self.field}: {self.message}"


def load_monitor(path: str | Path) -> Monitor:
    """The monitor one file declares. Raises DeclarationError with a line per finding, all of them at once."""
    monitor, findings = _read(Path(path))
    if monitor is None:
        raise DeclarationError("\n".join(map(str, findings)))
    return monitor


def load_monitors(directory: str | Path) -> list[Monitor]:
    """Every monitor of a directory (``*.yaml``, ``*.yml``; not of its subdirectories), by name.

    Raises DeclarationError when the directory is not there, a file is wrong or two declare the same name.
    """
    monitors, findings = _read_all(monitor_files(directory))
    if findings:
        raise DeclarationError("\n".join(map(str, findings)))
    return sorted(monitors, key=lambda monitor: monitor.name)


def monitor_files(directory: str | Path) -> list[Path]:
    """The files of a directory that declare monitors, by name. Raises DeclarationError when there is no directory."""
    directory = Path(directory)
    try:
        if directory.is_dir():
            files = [path for path in directory.iterdir() if path.suffix in SUFFIXES]
            return sorted(path for path in files if not path.name.startswith("."))
    except OSError as error:
        raise DeclarationError(
            f"{directory}: the directory of monitors cannot be read: {error.strerror}; let this user read it"
        ) from error
    raise DeclarationError(f"{directory}: no such directory of monitors; name it by --monitors or MONITORS_DIR")


def check_files(paths: Iterable[str | Path]) -> list[Finding]:
    """What is wrong with these files, in the order of files and lines; empty when all of them load."""
    return _read_all([Path(path) for path in paths])[1]


def line_of(path: str | Path, location: Sequence[str | int]) -> int:
    """Line of a key in a file that parses, for findings about what a declaration points at.

    A text below a list is the item of that value: ``("schema", "numerical", "distance")``. What is not there has the
    line of the nearest key above it.
    """
    node = _composed(Path(path).read_text(encoding="utf-8"))
    return _Document(str(path), node).line(tuple(location)) if node is not None else 1


@functools.lru_cache(maxsize=4)
def _composed(text: str) -> Node | None:
    """Kept: there may be a finding for each of thousands of columns."""
    return compose(text)


def _read_all(paths: Sequence[Path]) -> tuple[list[Monitor], list[Finding]]:
    monitors: list[Monitor] = []
    findings: list[Finding] = []
    files: dict[str, Path] = {}
    for path in paths:
        monitor, found = _read(path)
        findings += found
        if monitor is None:
            continue
        if monitor.name in files:
            message = f"{monitor.name!r} is declared in {files[monitor.name]} too; give each monitor its own name"
            findings.append(Finding(str(path), line_of(path, ("name",)), "name", message))
        files.setdefault(monitor.name, path)
        monitors.append(monitor)
    return monitors, findings


def _read(path: Path) -> tuple[Monitor | None, list[Finding]]:
    """The monitor, or what is wrong with it. Never raises: one bad file must not stop the monitors of the others."""
    try:
        text = _text_of(path)
        node = compose(text)
        if wrong := _unstorable(path, node):
            return None, wrong
        raw = _constructed(text, node)
        if node is not None and isinstance(raw, dict):
            return _validate(path, raw, _Document(str(path), node))
    except _Unreadable as error:
        return None, [Finding(str(path), error.line, error.field, str(error))]
    except MarkedYAMLError as error:
        return None, [_syntax_finding(path, error)]
    except OutOfBoundsError as error:
        return None, [Finding(str(path), error.line, "yaml", str(error))]
    except Exception as error:  # noqa: BLE001  readers of YAML and of values raise anything; it is about this file
        said = f"cannot be read as a declaration ({type(error).__name__}: {_first_line(error)}); correct or remove it"
        return None, [Finding(str(path), 1, "file", said)]
    what = "is empty" if raw is None else "must be a mapping of keys"
    return None, [Finding(str(path), 1, "file", f"{what}; `monitoring-pipeline init` drafts a monitor from data")]


class _Unreadable(Exception):
    """Why a file is not YAML text; the message says what to do."""

    def __init__(self, field: str, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.field, self.line = field, line


def _text_of(path: Path) -> str:
    """The text of a file. Raises _Unreadable; a pipe or a device is not opened, for it may never end."""
    try:
        if path.exists() and not path.is_file():
            raise _Unreadable("file", f"is {'a directory' if path.is_dir() else 'not a regular file'}; move it away")
        if path.stat().st_size > MOST_BYTES:
            raise _Unreadable("file", f"has more than {MOST_BYTES:,} bytes; a declaration is a short text")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _Unreadable("file", "is not UTF-8 text; save it as UTF-8", line) from error
    except OSError as error:
        raise _Unreadable("file", f"cannot be read: {error.strerror}") from error


def _constructed(text: str, node: Node | None) -> Any:
    """The values of a document. Raises _Unreadable with the line of a value that its tag or type cannot hold."""
    try:
        return None if node is None else construct(node, text)
    except MarkedYAMLError:
        raise
    except Exception as error:  # KeyError for `!!bool xyz`, IndexError for `!!int ''`, ValueError for 2024-13-45
        for scalar in _scalars(node):
            try:
                YAML(typ="safe", pure=True).constructor.construct_object(scalar, deep=True)
            except Exception:  # noqa: BLE001  whatever the reader of this type raises
                kind = str(scalar.tag).rpartition(":")[2]
                said = f"{_shown(scalar.value)} is not a valid value of type `{kind}`; correct it or write it in quotes"
                raise _Unreadable("yaml", said, scalar.start_mark.line + 1) from error
        raise


def _scalars(node: Node | None) -> Iterable[ScalarNode]:
    """Every scalar of a document once, keys included; anchors may lead back to where they stand."""
    seen: set[int] = set()
    left = [node]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, ScalarNode):
            yield one
        elif isinstance(one, SequenceNode):
            left += reversed(one.value)
        elif isinstance(one, MappingNode):
            left += [part for pair in reversed(one.value) for part in reversed(pair)]


def _unstorable(path: Path, node: Node | None) -> list[Finding]:
    """Texts with NUL or half a surrogate pair: no file, column or row can be named so. Numbers that no JSON holds."""
    return [
        Finding(
            str(path),
            scalar.start_mark.line + 1,
            "yaml",
            f"{_shown(scalar.value)} {why}; {FINITE if why == NOT_FINITE else 'remove it'}",
        )
        for scalar in _scalars(node)
        for why in [_why_unstorable(scalar)]
        if why
    ]


def _not_finite(number: str) -> bool:
    try:
        return not math.isfinite(float(number.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")))
    except ValueError:
        return False  # whoever makes a value of it says so


def _why_unstorable(scalar: ScalarNode) -> str:
    text = scalar.value
    if str(scalar.tag) == FLOAT and _not_finite(text):
        return NOT_FINITE
    if "\0" in text:
        return "holds a NUL character"
    return "holds half a surrogate pair" if any("\ud800" <= c <= "\udfff" for c in text) else ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no message")[:200]


def _validate(path: Path, raw: dict[Any, Any], document: _Document) -> tuple[Monitor | None, list[Finding]]:
    base_dir = path.resolve().parent
    declared = {key: value for key, value in raw.items() if key != "base_dir"}
    findings: list[Finding] = []
    if "base_dir" in raw:
        findings.append(document.finding(("base_dir",), "not a key to write; paths are relative to the file"))
    try:
        monitor = Monitor.model_validate({**declared, "base_dir": base_dir})
        return (None, findings) if findings else (monitor, [])
    except ValidationError as error:
        findings += document.findings(error)
        findings += document.findings(_across_keys(declared, error))
    return None, sorted(set(findings), key=lambda finding: (finding.line, finding.field, finding.message))


def _across_keys(raw: dict[Any, Any], error: ValidationError) -> ValidationError | None:
    """The checks across keys over the keys that are right; pydantic leaves them out as soon as one key is wrong."""
    wrong = {item["loc"][0] for item in error.errors() if item["loc"]}
    if not wrong or {"schema", "task"} & wrong:
        return None
    right = {key: value for key, value in raw.items() if key not in wrong}
    stand_ins = {key: value for key, value in _STAND_INS.items() if key in wrong}
    try:
        Monitor.model_validate({**right, **stand_ins})
    except ValidationError as found:
        return found
    return None


def _syntax_finding(path: Path, error: MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    problem = (error.problem or error.context or "not YAML").splitlines()[0]
    return Finding(str(path), mark.line + 1 if mark else 1, "yaml", f"{problem}; check indentation, colons and quotes")


class _Document:
    """A composed YAML document: which line a location stands on, and what pydantic's errors mean there."""

    def __init__(self, file: str, root: Node) -> None:
        self.file = file
        self.root = root

    def line(self, location: Location) -> int:
        """Line of the key (or list item) at a location, or of the nearest one above it that is written."""
        return self._resolve(location)[1]

    def finding(self, location: Location, message: str) -> Finding:
        return Finding(self.file, self.line(location), _dotted(location), message)

    def findings(self, error: ValidationError | None) -> list[Finding]:
        """One finding per mistake; the branches of a union tell of one mistake and are told as one."""
        found: dict[Location, dict[str, Finding]] = {}
        items = error.errors() if error else []
        for item in items:
            for finding, location in self._findings_of(item):
                found.setdefault(location, {})[finding.message] = finding
        told_inside = {location[:-1] for location in found}
        for item in items:  # `path` may be text or a list: where it is a list, what is wrong inside it says enough
            location = self._written(item["loc"], keep_last=False)
            if item["type"] == "string_type" and location in told_inside:
                found.pop(location, None)
        return [_joined(list(by_message.values())) for by_message in found.values()]

    def _findings_of(self, item: Any) -> Iterable[tuple[Finding, Location]]:
        location = self._written(item["loc"], item["type"] in ("missing", "extra_forbidden"))
        if item["type"] == "value_error":
            for text in str(item["ctx"]["error"]).split("\n"):
                at, message = _split_field(text, location)
                yield Finding(self.file, self._line_of_message(at, message), _dotted(at), message), (*at, message)
        else:
            message = _MESSAGES.get(item["type"], _other)(item, location)
            yield Finding(self.file, self.line(location), _dotted(location), message), location

    def _line_of_message(self, location: Location, message: str) -> int:
        """The item of a list that a message about a column quotes, else the list."""
        quoted = message.split("'")
        return self.line((*location, quoted[1])) if len(quoted) > 2 else self.line(location)

    def _written(self, location: Location, keep_last: bool) -> Location:
        """A pydantic location without the names of union branches, which no file has."""
        node: Node | None = self.root
        kept: list[str | int] = []
        for index, part in enumerate(location):
            below = _child(node, part)
            last = index == len(location) - 1
            if below is None and not (last and keep_last) and (node is None or not isinstance(node, MappingNode)):
                continue
            if below is None and isinstance(part, str) and part == "[key]":
                continue
            kept.append(part)
            node = below[1] if below else None
        return tuple(kept)

    def _resolve(self, location: Location) -> tuple[Node | None, int]:
        node: Node | None = self.root
        line = self.root.start_mark.line + 1
        for part in location:
            below = _child(node, part)
            if below is None:
                return None, line
            line, node = below
        return node, line


def _child(node: Node | None, part: str | int) -> tuple[int, Node] | None:
    """Line and value of what ``part`` names below a node."""
    if isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None if node is None else _named(node).get(str(part) if isinstance(node, MappingNode) else part)


@functools.lru_cache(maxsize=64)
def _named(node: Node) -> dict[str | int, tuple[int, Node]]:
    """What texts name below a node: a mapping's keys, a list's items, and those of lists in it; the first of each."""
    found: dict[str | int, tuple[int, Node]] = {}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode):
                found.setdefault(key.value, (key.start_mark.line + 1, value))
    elif isinstance(node, SequenceNode):
        for item in node.value:
            if isinstance(item, ScalarNode):
                found.setdefault(item.value, (item.start_mark.line + 1, item))
            elif isinstance(item, SequenceNode):
                for name, place in _named(item).items():
                    found.setdefault(name, place)
    return found


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "monitor"


def _joined(findings: list[Finding]) -> Finding:
    """Branches of a union: ``write a text, or a list``."""
    first = findings[0]
    if len(findings) == 1:
        return first
    return Finding(first.file, first.line, first.field, "; or ".join(finding.message for finding in findings))


def _split_field(text: str, location: Location) -> tuple[Location, str]:
    """``schema.score: a binary monitor needs …`` names its field itself; other messages are about ``location``."""
    field, colon, message = text.partition(": ")
    if colon and location[:1] != (field.split(".")[0],) and _field_exists(field):
        return tuple(field.split(".")), message
    if colon and location and field.startswith(f"{location[0]}."):
        return tuple(field.split(".")), message
    return location, text


def _field_exists(dotted: str) -> bool:
    return all(part.isidentifier() for part in dotted.split(".")) and dotted.split(".")[0] in _keys_at(())


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        if not isinstance(annotation, types.GenericAlias) or typing.get_origin(annotation) in (dict, tuple, list):
            yield from _models_in(argument)


def _model_at(location: Location) -> type[BaseModel] | None:
    """The class that declares the keys at a location; below a mapping of names, the class of its values."""
    model: type[BaseModel] | None = Monitor
    annotation: Any = Monitor
    for part in location:
        if model is not None:
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            if part not in fields:
                return None
            annotation = fields[str(part)].annotation
            is_mapping = typing.get_origin(annotation) is dict
            model = None if is_mapping else next(iter(_models_in(annotation)), None)
        else:
            model = next(iter(_models_in(annotation)), None)
    return model


def _keys_at(location: Location) -> dict[str, str]:
    """Known keys at a location, with their descriptions."""
    model = _model_at(location)
    if model is None:
        return {}
    fields = model.model_fields.items()
    return {field.alias or name: field.description or "" for name, field in fields if name != "base_dir"}


def _unknown_key(item: Any, location: Location) -> str:
    known = list(_keys_at(location[:-1]))
    close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
    if close:
        return f"unknown key; did you mean `{close[0]}`?"
    return f"unknown key; known here: {', '.join(known)}" if known else "unknown key; remove it"


def _missing(item: Any, location: Location) -> str:
    if isinstance(location[-1], int):
        return "the list is too short; write one item more"
    description = _keys_at(location[:-1]).get(location[-1], "")
    where = f"under `{_dotted(location[:-1])}`" if len(location) > 1 else "at the top level"
    return f"missing; add `{location[-1]}:` {where}" + (f" ({description})" if description else "")


def _choice(item: Any, location: Location) -> str:
    choices = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
    return f"{_shown(item['input'])} is not a choice; write one of: {choices}"


def _text(item: Any, location: Location) -> str:
    if item["input"] is None:
        return "is empty; write text"
    if isinstance(item["input"], list | dict):
        return f"must be text, not {_shown(item['input'])}"
    return f'must be text; write "{_shown(item["input"]).strip(chr(39))}" in quotes'


def _mapping(item: Any, location: Location) -> str:
    keys = ", ".join(_keys_at(location))
    what = "is empty" if item["input"] is None else f"must be a mapping of keys, not {_shown(item['input'])}"
    return what + (f"; known here: {keys}" if keys else "")


def _list(item: Any, location: Location) -> str:
    return "is empty; write a list, such as [a, b]" if item["input"] is None else "must be a list, such as [a, b]"


def _pattern(item: Any, location: Location) -> str:
    return (
        f"{_shown(item['input'])} is not a name; write a letter, then letters, digits and _ (63 at most): it names"
        " assets and rows"
    )


def _number(item: Any, location: Location) -> str:
    kind = "a whole number" if item["type"].startswith("int") else "a number"
    return f"must be {kind}, not {_shown(item['input'])}"


def _limit(item: Any, location: Location) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    limits = [f"{words[key]} {value:g}" for key, value in item["ctx"].items() if key in words]
    return f"must be {' and '.join(limits)}, not {_shown(item['input'])}"


def _day(item: Any, location: Location) -> str:
    return f"{_shown(item['input'])} is not a day; write one such as 2013-04-01"


def _moment(item: Any, location: Location) -> str:
    return f"{_shown(item['input'])} is not a time; write one such as 2013-04-01 or 2013-04-01T06:00:00Z"


def _truth(item: Any, location: Location) -> str:
    return f"must be true or false, not {_shown(item['input'])}"


def _other(item: Any, location: Location) -> str:
    return f"{item['msg'][:1].lower()}{item['msg'][1:]}, not {_shown(item['input'])}"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 1000


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    # Not repr: a few anchors, each a list of the one before, make a text of gigabytes.
    text = value.isoformat() if isinstance(value, date) else _SHORT.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_MESSAGES = {
    "extra_forbidden": _unknown_key,
    "finite_number": lambda item, location: f"{_shown(item['input'])} {NOT_FINITE}; {FINITE}",
    "missing": _missing,
    "literal_error": _choice,
    "string_type": _text,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "dict_type": _mapping,
    "tuple_type": _list,
    "string_pattern_mismatch": _pattern,
    "greater_than": _limit,
    "greater_than_equal": _limit,
    "less_than": _limit,
    "less_than_equal": _limit,
    **dict.fromkeys(("float_type", "float_parsing", "int_type", "int_parsing", "int_from_float"), _number),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _day),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _moment),
    **dict.fromkeys(("bool_type", "bool_parsing"), _truth),
}
