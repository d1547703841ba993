"""Errors that a user can act on. Anything else that escapes is a defect of ours."""

from typing import Any


def storable(text: str) -> str:
    """``text`` with NUL and lone surrogates written out, as ``\\x00`` and ``\\udcff``: Postgres holds neither."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def storable_value(value: Any) -> Any:
    """A JSON value with every text in it, keys included, as ``storable`` writes it."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable_value(key): storable_value(one) for key, one in value.items()}
    return [storable_value(one) for one in value] if isinstance(value, list | tuple) else value


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, where (file, row, column), and what to do.

    Messages quote what comes from outside; they are made ``storable``, so that they can be printed and kept.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(storable(arg) if isinstance(arg, str) else arg for arg in args))


class DeclarationError(UserError):
    """A monitor's YAML is wrong. One line per finding: ``file:line: field: what is wrong and what to write``."""


class SourceError(UserError):
    """A source cannot be read, or does not hold what the monitor declares."""


class UnscoredError(SourceError):
    """A reference holds features alone, and no registered model has scored it yet."""


class WarehouseError(UserError):
    """Postgres cannot be reached or refuses the work."""


class WindowError(UserError):
    """One window cannot be processed; other windows of the same run go on."""


class RetrainError(UserError):
    """A challenger cannot be trained, kept, loaded or scored. The champion is not affected."""
