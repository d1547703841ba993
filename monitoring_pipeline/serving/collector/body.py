"""The body of a request: read to its limit and not beyond, then parsed into records."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from monitoring_pipeline.serving.collector.limits import Limits
from monitoring_pipeline.serving.collector.records import Broken
from monitoring_pipeline.serving.collector.refusal import Refusal
from monitoring_pipeline.serving.collector.values import shown

JSON = "application/json"
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

CLOSE = {"Connection": "close"}  # else the server goes on reading what it throws away


async def read_body(request: Request, limits: Limits) -> bytes:
    """Raises Refusal: 413 as soon as the body is known to be too large, 408 when it does not arrive, 415."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refusal(415, f"Content-Encoding {shown(encoding)} is not taken; send the body as it is")
    content_type(request)
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
        raise Refusal(408, message, headers=CLOSE) from None
    except ClientDisconnect:
        raise Refusal(400, "the client went away before the body's end") from None
    return b"".join(chunks)


async def drain(request: Request, limits: Limits) -> None:
    """Reads and forgets a body that is refused unread: a client that is still sending would not see the answer."""
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes:
                    return
    except (TimeoutError, ClientDisconnect):
        return


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"the body is larger than {limits.body_bytes:,} bytes; send smaller batches", headers=CLOSE)


def content_type(request: Request) -> str:
    """The media type. Raises Refusal 415 for one that is not taken."""
    found = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if found != JSON and found not in LINES:
        raise Refusal(415, f"Content-Type {shown(found)} is not taken; send {JSON} or {LINES[0]}")
    return found


def records_of(body: bytes, media: str, limits: Limits) -> list[Any]:
    """The records of ``{"records": [...]}``, of a bare list, or one a line. Raises Refusal 400, or 413 for too many."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8 (byte {error.start}); send UTF-8") from None
    records = _lines(text) if media in LINES else _document(text)
    if not records:
        raise Refusal(400, 'the batch is empty; send {"records": [...]} with at least one record')
    if len(records) > limits.records:
        raise Refusal(413, f"{len(records):,} records; {limits.records:,} are the most in one request. Send several")
    return records


def _document(text: str) -> list[Any]:
    try:
        found = _parsed(text)
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("records"), list):
        if extra := sorted(found.keys() - {"records"}):
            raise Refusal(400, f"unknown key {shown(extra[0])} beside `records`; leave it out")
        return list(found["records"])
    if isinstance(found, list):
        return found
    raise Refusal(400, f'the body is {shown(found)}; send {{"records": [...]}} or a list of records')


def _lines(text: str) -> list[Any]:
    records: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                records.append(_parsed(line))
            except ValueError as error:
                records.append(Broken(f"line {number} is not JSON: {error}"))
    return records


def _parsed(text: str) -> Any:
    """Raises ValueError, for values nested too deep as well."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("values are nested too deep; a record has one level of features") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:
        raise ValueError("a number has thousands of digits") from None
