"""A seeded search over settings: Optuna proposes, dev answers. Needs `pip install 'freehold[search]'`.

The proposals follow from the seed and the scores alone, and builds and scores are found in the store, so that
a search that was stopped goes on where it was when the verb is typed again.

Source: Bergstra et al. (2011), Algorithms for hyper-parameter optimization (TPE), by Optuna (Akiba et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import JsonValue

from freehold.core.sections import TuneSearch
from freehold.ladder.rung import SkippedError

RANDOM_FIRST = 4
"""Trials that are drawn by chance before the search begins to learn from scores."""
DIGITS = 3


def optuna_or_skip() -> Any:
    """Return Optuna.

    Raises:
        SkippedError: it is not installed; the message holds the line that installs it.
    """
    try:
        optuna: Any = import_module("optuna")
    except ImportError as error:
        raise SkippedError(
            "missing input: a search over settings needs Optuna; pip install 'freehold[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def searched(
    spec: TuneSearch, score: Callable[[Mapping[str, JsonValue]], float]
) -> tuple[Mapping[str, JsonValue], ...]:
    """Return the settings of every trial, in order; `score` is asked for each.

    Args:
        spec: what is searched, the number of trials and the seed.
        score: builds settings and returns their dev score.

    Raises:
        SkippedError: Optuna is not installed.
    """
    optuna = optuna_or_skip()
    sampler = optuna.samplers.TPESampler(
        seed=spec.seed, n_startup_trials=min(RANDOM_FIRST, spec.trials)
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    tried: list[Mapping[str, JsonValue]] = []
    for _ in range(spec.trials):
        trial = study.ask()
        settings = _settings(spec, trial)
        study.tell(trial, score(settings))
        tried.append(settings)
    return tuple(tried)


def _settings(spec: TuneSearch, trial: Any) -> dict[str, JsonValue]:
    settings: dict[str, JsonValue] = {}
    ranges = {"learning_rate": spec.learning_rate, "epochs": spec.epochs, "beta": spec.beta}
    for name, ends in ranges.items():
        if ends is not None:
            is_log = name != "epochs"
            value = trial.suggest_float(name, ends[0], ends[1], log=is_log)
            settings[name] = float(f"{value:.{DIGITS}g}")
    if spec.r:
        settings["r"] = int(trial.suggest_categorical("r", list(spec.r)))
    return settings
