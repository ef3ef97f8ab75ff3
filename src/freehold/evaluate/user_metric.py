"""A metric of the user's own: `metrics/file.py:function`, called as `function(example, output)`.

The file is the user's code and runs with the user's rights, like the rest of their project: what is
guarded against here is a mistake in it, not malice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, cast

import numpy as np

from freehold.core.errors import ConfigError
from freehold.core.measure import Answer
from freehold.core.outcome import Cause, Failed
from freehold.core.record import digest_bytes
from freehold.core.snapshot import Example

Metric: TypeAlias = Callable[[Example, Answer], float | Failed]

_HELP = "def score(example, output) -> float: return 1.0 if output == example.target else 0.0"


def load_metric(reference: str, *, root: Path) -> Metric:
    """Return the metric that `reference` names, made safe to call.

    The function gets the example (a record: `input`, `target`, `context`, `fields` ...) and the
    value of the answer (a label, a JSON value or text), and returns a number in [0, 1]. Anything
    else, an exception included, is a failure of that example, never a score.

    Args:
        reference: `path/to/file.py:function`, relative to `root`.
        root: the project's folder; the file must lie inside it.

    Raises:
        ConfigError: the file or the function does not exist, or the file cannot be run.
    """
    path_text, colon, name = reference.rpartition(":")
    if not colon or not path_text or not name:
        raise ConfigError(
            "CFG-004",
            f"`metric.python` is {reference!r}; it must be path/to/file.py:function",
            help="metric: {primary: python, python: 'metrics/my_metric.py:score'}",
        )
    path = (root / path_text).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise ConfigError(
            "CFG-006",
            f"`metric.python` points to {path_text!r}, which is no file in this project",
            help=f"create {path_text} with: {_HELP}",
        )
    function: object = getattr(_run_file(path, path_text), name, None)
    if not callable(function):
        raise ConfigError(
            "CFG-009", f"{path_text} has no function {name!r}", help=f"add to {path_text}: {_HELP}"
        )
    return _guarded(function, name)


def _run_file(path: Path, path_text: str) -> ModuleType:
    """Run the file as a module. It is compiled here, so that nothing is written beside it."""
    name = f"freehold_metric_{digest_bytes(str(path).encode())[-12:]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    # Dataclasses and pickles look a module up by its name.
    sys.modules[name] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            "CFG-009",
            f"{path_text} cannot be run: {type(error).__name__}: {error}",
            help=f"python {path_text}",
        ) from error
    return module


def _guarded(function: Callable[..., object], name: str) -> Metric:
    def compare(example: Example, answer: Answer) -> float | Failed:
        try:
            score = function(example, answer.value)
        except (Exception, SystemExit) as error:  # noqa: BLE001  the user's code may raise anything
            return Failed(cause=Cause.SCORER, message=f"{name}: {type(error).__name__}: {error}")
        if isinstance(score, Real | np.bool_):
            number = float(cast("float", score))
            if 0.0 <= number <= 1.0:
                return number
        return Failed(
            cause=Cause.SCORER, message=f"{name} returned {score!r:.100}, not a number in [0, 1]"
        )

    return compare
