"""The trainer a declaration names, found by its import path."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from monitoring_pipeline.errors import DeclarationError


def trainer_of(written: str) -> Callable[..., Any]:
    """What ``module:function`` names. Raises DeclarationError when it cannot be imported or is not callable."""
    module_name, colon, path = written.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module_name.split("."), *path.split(".")]):
        raise DeclarationError(f"{written!r} is not an import path; write `module:function`")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module runs any code when it is imported
        why = next(iter(str(error).splitlines()), "no message")
        raise DeclarationError(
            f"{written!r}: module {module_name!r} cannot be imported ({type(error).__name__}: {why});"
            " correct the path, or install the module in this environment"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise DeclarationError(f"{written!r}: {module_name!r} has no {path!r}; write the name of its function")
        found = getattr(found, part)
    if not callable(found):
        raise DeclarationError(f"{written!r} is not a function but {type(found).__name__}; name a function")
    return found
