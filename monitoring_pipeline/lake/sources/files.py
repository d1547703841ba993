"""Files of a source: globs expanded, versions told apart, formats known by their suffix. Local paths or fsspec URLs."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import logging
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, Literal
from urllib.parse import unquote, urlparse

import fsspec

from monitoring_pipeline.errors import DeclarationError, SourceError, storable
from monitoring_pipeline.lake.duck import protocol_of
from monitoring_pipeline.monitors.declaration import Monitor, Source
from monitoring_pipeline.records import FileVersion

Format = Literal["parquet", "csv", "jsonl"]
_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
}  # fmt: skip
_COMPRESSED = (".gz", ".zst")
MOST_DIRECTORIES = 50_000  # below one `**`
_logger = logging.getLogger(__name__)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def expand_environment(text: str, field: str) -> str:
    """``${NAME}`` replaced from the environment. Raises DeclarationError when a variable is not set."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise DeclarationError(
                f"{field}: the environment variable {name} is not set; export {name} or write the value"
            )
        return os.environ[name]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, text)


def list_files(source: Source, base_dir: Path) -> dict[str, FileVersion]:
    """Every file of the source by path (absolute, or URL), in order. Raises SourceError where listing fails.

    What cannot be read by its name (a pipe, a device, a name that is not UTF-8) is refused where it is named, and
    behind a pattern left out with a warning: one such thing never stops the files beside it.
    """
    found: dict[str, FileVersion] = {}
    for written in source.paths:
        pattern = expand_environment(written, "path")
        found.update(_list_remote(pattern) if protocol_of(pattern) else _list_local(pattern, base_dir))
    return dict(sorted(found.items()))


def list_predictions(monitor: Monitor) -> dict[str, FileVersion]:
    """The prediction log's files with the versions that its index knows. Raises SourceError."""
    return _read_as(how_predictions_are_read(monitor), list_files(monitor.predictions, monitor.base_dir))


def list_labels(monitor: Monitor) -> dict[str, FileVersion]:
    """The same of the ground truth's files; none where none is declared."""
    source = monitor.ground_truth
    if source is None:
        return {}
    return _read_as(how_labels_are_read(monitor), list_files(source, monitor.base_dir))


def how_predictions_are_read(monitor: Monitor) -> str:
    """Digest of what the declaration says of the windows in which the rows of the prediction log fall."""
    schema, source = monitor.schema_, monitor.predictions
    return digest_of((schema.event_time, schema.timezone, monitor.window, source.format, source.delimiter))


def how_labels_are_read(monitor: Monitor) -> str:
    """Digest of what the declaration says of the rows of the ground truth; empty where none is declared."""
    source, schema = monitor.ground_truth, monitor.schema_
    if source is None:
        return ""
    columns = (source.prediction_id or schema.prediction_id, source.outcome, source.label_time)
    return digest_of((monitor.task, *columns, schema.timezone, source.format, source.delimiter))


def _read_as(how: str, listed: Mapping[str, FileVersion]) -> dict[str, FileVersion]:
    """Versions that differ when the declaration reads the same bytes otherwise, so that they are looked at again."""
    return {path: replace(version, read_as=how) for path, version in listed.items()}


def digest_of(how: Sequence[str | None]) -> str:
    """Eight hexadecimal digits for a way of reading."""
    return hashlib.sha256(json.dumps(how).encode()).hexdigest()[:8]


def version_of(path: str) -> FileVersion:
    """The version of one file as it is now. Raises SourceError when it is not there."""
    try:
        if not protocol_of(path):
            stat = Path(path).stat()
            return FileVersion(stat.st_size, _EPOCH + timedelta(microseconds=stat.st_mtime_ns // 1000))
        filesystem, inner = fsspec.core.url_to_fs(path)
        return _remote_version(filesystem.info(inner))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({_why(error)}); restore the file or correct `path`") from error


def file_format(path: str, declared: Format | None) -> Format:
    """By declaration, else by suffix. Raises SourceError when neither tells."""
    if declared is not None:
        return declared
    suffixes = [s.lower() for s in Path(urlparse(path).path if protocol_of(path) else path).suffixes]
    while suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    raise SourceError(f"{path}: the suffix does not tell the format; write `format: parquet`, `csv` or `jsonl`")


def _list_local(pattern: str, base_dir: Path) -> Mapping[str, FileVersion]:
    if pattern.startswith(("file://", "local://")):
        pattern = unquote(urlparse(pattern).path)
    absolute = os.path.normpath(Path(base_dir).resolve() / Path(pattern).expanduser())
    found: dict[str, FileVersion] = {}
    is_named = Path(absolute).exists() and not Path(absolute).is_dir()
    for name in [absolute] if is_named else _matching(absolute):
        try:
            status = Path(name).stat()
        except OSError:
            continue  # gone since it was listed
        if S_ISDIR(status.st_mode):
            continue
        if (why := _unreadable(name, status.st_mode)) and is_named:
            raise SourceError(f"{name}: it {why}")
        if why:
            _warn_once(f"{storable(name)} is left out: it {why}")
        else:
            found[name] = FileVersion(status.st_size, _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000))
    return found


def _unreadable(name: str, mode: int) -> str | None:
    """Why no reader can open this by its name, or would wait for it without an end; None where one can."""
    if not S_ISREG(mode):
        return "is a pipe or a device, which may never end; move it away or correct `path`"
    if any("\ud800" <= c <= "\udfff" for c in name):
        return "has a name that is not UTF-8; rename the file"
    return None


@functools.cache
def _warn_once(said: str) -> None:
    """A source is listed many times in a process."""
    _logger.warning("%s", said)


def _matching(pattern: str) -> Iterator[str]:
    """Names that a pattern matches, as ``glob`` with ``**``; but no directory is entered twice, by whatever links."""
    head, found, rest = f"{pattern}/".partition("/**/")
    if not found:
        yield from glob.iglob(pattern)  # noqa: PTH207
        return
    for top in glob.iglob(head or "/"):  # noqa: PTH207
        for directory in _directories(top, set()):
            yield from _matching(str(Path(glob.escape(directory)) / (rest.rstrip("/") or "*")))


def _directories(top: str, seen: set[str]) -> Iterator[str]:
    """A directory and those below it, hidden ones left out, links after the directories that they may lead to."""
    place = os.path.realpath(top)
    if place in seen or not Path(top).is_dir():
        return
    seen.add(place)
    if len(seen) > MOST_DIRECTORIES:
        raise SourceError(f"{top}: `**` leads to more than {MOST_DIRECTORIES:,} directories; write a narrower `path`")
    yield top
    try:
        with os.scandir(top) as entries:
            below = sorted((one.is_symlink(), one.path) for one in entries if one.name[0] != "." and _is_directory(one))
    except OSError:
        return  # as `glob`: what may not be entered holds nothing for us
    for _, path in below:
        yield from _directories(path, seen)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def _list_remote(pattern: str) -> Mapping[str, FileVersion]:
    try:
        filesystem, inner = fsspec.core.url_to_fs(pattern)
        infos: dict[str, dict[str, Any]] = filesystem.glob(inner, detail=True)
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(
            f"{pattern}: cannot be listed ({_why(error)}); check the address and the credentials"
        ) from error
    return {
        filesystem.unstrip_protocol(name): _remote_version(info)
        for name, info in infos.items()
        if info.get("type", "file") == "file"
    }


def _remote_version(info: Mapping[str, Any]) -> FileVersion:
    """Size and time of change; where a store gives no time, a time made up from its ETag, so that a change is seen."""
    size = int(info.get("size") or 0)
    for field in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        value = info.get(field)
        if isinstance(value, datetime):
            return FileVersion(size, value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))
        if isinstance(value, int | float):
            return FileVersion(size, _EPOCH + timedelta(seconds=value))
    tag = str(info.get("ETag") or info.get("etag") or "")
    return FileVersion(size, _EPOCH + timedelta(seconds=zlib.crc32(tag.encode())))


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
