"""Passwords in declared addresses: what is kept and shown of a declaration has none."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):(.+)@")  # to the last @: one that is written unescaped is part of it
_PARAMETER = re.compile(r"(?i)([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)([^&]+)")


def hidden(address: str) -> str:
    """An address or URL with its passwords replaced by ``***``; ``${NAME}`` is none and stays."""
    address = _PASSWORD.sub(lambda m: m[0] if _is_named(m[2]) else f"{m[1]}:{HIDDEN}@", address)
    return _PARAMETER.sub(lambda m: m[0] if _is_named(m[2]) else f"{m[1]}{HIDDEN}", address)


def named(address: str, variable: str) -> tuple[str, list[str]]:
    """An address with each password replaced by ``${variable}``, and the names of the variables; a second password gets
    ``variable_2`` and so on."""
    variables: list[str] = []

    def name() -> str:
        variables.append(f"{variable}_{len(variables) + 1}" if variables else variable)
        return f"${{{variables[-1]}}}"

    address = _PASSWORD.sub(lambda m: m[0] if _is_named(m[2]) else f"{m[1]}:{name()}@", address)
    return _PARAMETER.sub(lambda m: m[0] if _is_named(m[2]) else f"{m[1]}{name()}", address), variables


def _is_named(password: str) -> bool:
    return bool(re.fullmatch(r"\$\{\w+\}", password))


def without_passwords(declared: Any) -> Any:
    """A declaration as JSON values, the text of each ``url`` and ``path`` in it ``hidden``."""
    if isinstance(declared, dict):
        return {
            key: _hidden(value) if key in ("url", "path") else without_passwords(value)
            for key, value in declared.items()
        }
    return [without_passwords(one) for one in declared] if isinstance(declared, list) else declared


def _hidden(value: Any) -> Any:
    return (
        hidden(value)
        if isinstance(value, str)
        else [_hidden(one) for one in value]
        if isinstance(value, list)
        else value
    )
