"""The body of a request: read to its limit and not beyond, then parsed into records."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from monitoring_pipeline.collector.limits import Limits
from monitoring_pipeline.collector.records import Broken
from monitoring_pipeline.collector.refusal import Refusal
from monitoring_pipeline.collector.values import shown

JSON = "application/json"
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

T = TypeVar("T")
CLOSE = {"Connection": "close"}  # else the server goes on reading what it throws away
UNREAD = (401, 403, 404, 405, 408, 413, 415)  # answers to requests whose body was not read to its end


@dataclass(frozen=True)
class Body:
    """As it came, with what its headers say of it: the media type, and whether it is packed by gzip."""

    content: bytes
    media: str = JSON
    gzipped: bool = False


async def read_body(request: Request, limits: Limits) -> Body:
    """Raises Refusal: 413 as soon as the body is known to be too large, 408 when it does not arrive, 415."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        message = f"Content-Encoding {shown(encoding)} is not supported; send gzip, or the body uncompressed"
        raise Refusal(415, message, headers={"Accept-Encoding": "gzip"})
    media = _content_type(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():  # the length may be undeclared: counted as it comes
                size += len(chunk)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                chunks.append(chunk)
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_seconds:g} s; send it again"
        raise Refusal(408, message) from None
    except ClientDisconnect:
        raise Refusal(400, "the client disconnected before the end of the body") from None
    return Body(b"".join(chunks), media, encoding != "identity")


async def drain(request: Request, limits: Limits) -> None:
    """Reads and forgets a body that is refused unread: a client that is still sending would not see the answer.

    For a moment: who has no key is not waited for.
    """
    size = 0
    try:
        async with asyncio.timeout(limits.refused_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes:
                    return
    except (TimeoutError, ClientDisconnect):
        return


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"the body is larger than {limits.body_bytes:,} bytes; send smaller batches")


def _content_type(request: Request) -> str:
    """The media type. Raises Refusal 415 for one that is not taken."""
    found = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if found != JSON and found not in LINES:
        raise Refusal(415, f"Content-Type {shown(found)} is not supported; send {JSON} or {LINES[0]}")
    return found


def _unpacked(packed: bytes, limits: Limits) -> bytes:
    """Never more than the limit and a byte is unpacked, whatever the body claims to hold. Raises Refusal 400, 413."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = stream.decompress(packed, limits.body_bytes + 1)
    except zlib.error as error:
        raise Refusal(400, f"the body is not gzip: {error}") from None
    if len(found) > limits.body_bytes:
        raise Refusal(413, f"the body unpacks to more than {limits.body_bytes:,} bytes; send smaller batches")
    if not stream.eof or stream.unused_data:
        raise Refusal(400, "the gzip body " + ("has data after its end" if stream.eof else "is cut short"))
    return found


def records_of(body: Body, limits: Limits) -> list[Any]:
    """The records of ``{"records": [...]}``, of a bare list, or one a line. Raises Refusal 400, or 413 for too many."""
    content = _unpacked(body.content, limits) if body.gzipped else body.content
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8 (byte {error.start}); send UTF-8") from None
    if body.media not in LINES:
        return _counted(_document(text), limits)
    lines = _counted([n_line for n_line in enumerate(text.split("\n"), 1) if n_line[1].strip()], limits)
    return [_line(number, line) for number, line in lines]


def _counted(records: list[T], limits: Limits) -> list[T]:
    """The records, if there are any and not too many: lines are counted before they are read."""
    if not records:
        raise Refusal(400, 'the batch is empty; send {"records": [...]} with at least one record')
    if len(records) > limits.records:
        raise Refusal(
            413, f"{len(records):,} records; {limits.records:,} are the maximum per request. Send several requests"
        )
    return records


def _document(text: str) -> list[Any]:
    try:
        found = _parsed(text)
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("records"), list):
        if extra := sorted(found.keys() - {"records"}):
            raise Refusal(400, f"unknown key {shown(extra[0])} beside `records`; remove it")
        return list(found["records"])
    if isinstance(found, list):
        return found
    if isinstance(found, dict) and "prediction_id" in found:
        raise Refusal(400, 'the body is a single record outside of a list; send {"records": [RECORD]}')
    raise Refusal(400, f'the body is {shown(found)}; send {{"records": [...]}} or a list of records')


def _line(number: int, line: str) -> Any:
    try:
        return _parsed(line)
    except ValueError as error:
        return Broken(f"line {number} is not JSON: {error}")


def _parsed(text: str) -> Any:
    """Raises ValueError, for values nested too deep and for a key that stands twice in an object as well."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("values are nested too deeply; a record has one level of features") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}") from None
    except RepeatedKey:
        raise
    except ValueError:
        raise ValueError("a number has thousands of digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two values was meant cannot be known."""
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise RepeatedKey(f"the key {shown(name)} appears twice in one object; write it once")
    return found


class RepeatedKey(ValueError):
    """An object names a key twice."""
