"""API keys: one service may write to one monitor.

A key is 256 random bits, so its plain SHA-256 is what is kept: a slow or salted hash protects what people choose and
others can guess, and would only cost every request. The key itself is shown once and is nowhere on disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from monitoring_pipeline.errors import UserError

logger = logging.getLogger(__name__)
PREFIX = "mpc"
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Key:
    """What is kept of a key. ``key_id`` is part of the key, to name it by; ``sha256`` is of the whole key."""

    key_id: str
    monitor: str
    sha256: str
    created_at: str
    note: str = ""


class KeyStore:
    """``keys.json`` under ``home/collector``, mode 0600, replaced as a whole; a running collector sees changes."""

    def __init__(self, home: Path) -> None:
        self.path = home / "collector" / "keys.json"
        self._keys: tuple[Key, ...] = ()
        self._seen: tuple[int, int, int] | None = None

    def create(self, monitor: str, note: str = "") -> tuple[Key, str]:
        """(what is kept, the key itself, which cannot be had again). Raises UserError."""
        key_id = secrets.token_hex(4)
        secret = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        key = Key(key_id, monitor, _digest(secret), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", note)
        with self._changing():
            self._write((*self.all(), key))
        return key, secret

    def revoke(self, monitor: str, key_id: str | None = None) -> list[Key]:
        """Forgets one key of a monitor, or all of them; those that went. Raises UserError."""
        with self._changing():
            keys = self.all()
            gone = [k for k in keys if k.monitor == monitor and key_id in (None, k.key_id)]
            if gone:
                self._write(tuple(k for k in keys if k not in gone))
        return gone

    def all(self) -> tuple[Key, ...]:
        """Raises UserError when the file is there but cannot be read: then no key is valid."""
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._keys, self._seen = _keys_in(self.path.read_text()), seen
                if stat.st_mode & 0o022:
                    logger.warning("%s: others can write to it and so create keys; run `chmod 600` on it", self.path)
        except FileNotFoundError:
            self._keys, self._seen = (), None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path}: the keys cannot be read ({type(error).__name__}: {error}); restore the file, or "
                "remove it and create the keys again"
            ) from error
        return self._keys

    def monitor_of(self, secret: str) -> str | None:
        """The monitor this key is for. Looks at every key in constant time each. Raises UserError."""
        presented = _digest(secret)
        found: str | None = None
        for key in self.all():
            if hmac.compare_digest(key.sha256, presented):
                found = key.monitor
        return found

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time, over processes."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror}); give --home a writable place"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _write(self, keys: tuple[Key, ...]) -> None:
        """Raises UserError; then the file is as it was."""
        temporary = self.path.with_suffix(".tmp")
        try:
            temporary.unlink(missing_ok=True)  # another's may be readable to all
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as out:
                json.dump({"keys": [asdict(key) for key in keys]}, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(self.path)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); nothing was changed") from error


def _keys_in(text: str) -> tuple[Key, ...]:
    """Raises ValueError, KeyError, TypeError."""
    entries = json.loads(text)["keys"]
    if not isinstance(entries, list):
        raise TypeError(f"`keys` must be a list, not {type(entries).__name__}")
    keys = tuple(Key(**entry) for entry in entries)
    for number, key in enumerate(keys, 1):
        if not all(isinstance(value, str) for value in asdict(key).values()) or not _SHA256.fullmatch(key.sha256):
            raise ValueError(f"entry {number} was changed")
    return keys


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
