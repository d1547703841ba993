"""The trainer a declaration names, found by its import path."""

from __future__ import annotations

import importlib
import inspect
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


def check_contract(written: str) -> None:
    """Raises DeclarationError when ``written`` is no ``def train(training, request)``: path or signature."""
    found = trainer_of(written)
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return  # written in C; what it takes shows when it is called
    try:
        signature.bind(object(), object())
    except TypeError as error:
        raise DeclarationError(
            f"{written!r} is called with a TrainingSet and a TrainRequest, and does not take them ({error}); write `def"
            f" {found.__name__}(training, request) -> TrainedModel`"
        ) from error
    returned = signature.return_annotation
    name = returned if isinstance(returned, str) else getattr(returned, "__name__", str(returned))
    if returned is not signature.empty and name.rpartition(".")[2] != "TrainedModel":
        raise DeclarationError(f"{written!r} says that it returns {name}; a trainer returns a TrainedModel")
