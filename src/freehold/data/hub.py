"""Fetch a dataset of a hub once, and keep it as one file: `hf://org/name`, `hf://org/name:split`.

Fetching needs the network and `pip install freehold[hf]`. What was fetched stays in the cache of Freehold,
so that the same rows are read again without the network, and later changes at the hub change nothing here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from freehold.core.errors import DataError
from freehold.data.files import HUB

_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.+\[\]%-]+)?")
_DEFAULT_SPLIT = "train"


class _Dataset(Protocol):
    features: Mapping[str, object]

    def map(self, function: Callable[..., object], **settings: object) -> _Dataset: ...
    def cast_column(self, column: str, feature: object) -> _Dataset: ...
    def to_parquet(self, path: str) -> int: ...


def fetch(source: str, *, cache: Path, online: bool) -> Path:
    """Return the Parquet file of a dataset, fetched where it is not in the cache yet.

    A column of classes holds their names, not their numbers.

    Args:
        source: `hf://org/name`, of which the split `train` is read, or `hf://org/name:split`.
        cache: the folder of what was fetched.
        online: whether the network may be used.

    Raises:
        DataError: the name is none, the network may not be used, `datasets` is not installed, or the
            dataset cannot be loaded (DAT-041).
    """
    named = source.removeprefix(HUB)
    if not _NAME.fullmatch(named) or ".." in named:
        raise _unreachable(source, "this is no name of a dataset", help="hf://org/name:split")
    path = cache / "datasets" / f"{_file_name(named)}.parquet"
    if path.is_file():
        return path
    if not online:
        raise _unreachable(
            source,
            "it is on the network, and Freehold stays offline unless it is told otherwise",
            help="run the same command with --online once; it is kept and read offline afterwards",
        )
    name, _, split = named.partition(":")
    dataset = _load(source, name, split or _DEFAULT_SPLIT)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    dataset.to_parquet(str(unfinished))
    unfinished.replace(path)
    return path


def _file_name(named: str) -> str:
    """Return a name that is readable, and different for every dataset and split."""
    digest = hashlib.sha256(named.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '-', named)}-{digest}"


def _load(source: str, name: str, split: str) -> _Dataset:
    try:
        import datasets
    except ImportError as error:
        raise _unreachable(
            source, "`datasets` is not installed", help="pip install 'freehold[hf]'"
        ) from error
    load = cast("Callable[..., _Dataset]", vars(datasets)["load_dataset"])
    try:
        return _with_names(load(name, split=split))
    except Exception as error:
        cause = next((line for line in str(error).splitlines() if line.strip()), "")
        raise _unreachable(
            source,
            f"the split `{split}` cannot be loaded",
            help="check the name and the split; private datasets need `huggingface-cli login`",
            cause=(f"{type(error).__name__}: {cause}",),
        ) from error


class _Classes(Protocol):
    def int2str(self, values: int) -> str: ...


def _with_names(dataset: _Dataset) -> _Dataset:
    """Put the names of classes in the place of their numbers."""
    found = {
        column: cast("_Classes", feature)
        for column, feature in dataset.features.items()
        if hasattr(feature, "int2str")
    }
    if not found:
        return dataset

    def named(row: Mapping[str, object]) -> dict[str, str | None]:
        return {
            column: classes.int2str(number)
            if isinstance(number := row[column], int) and number >= 0
            else None
            for column, classes in found.items()
        }

    import datasets

    text = cast("Callable[[str], object]", vars(datasets)["Value"])("string")
    features = cast("Mapping[str, object]", {**dataset.features, **dict.fromkeys(found, text)})
    kind = cast("Callable[[object], object]", vars(datasets)["Features"])
    return dataset.map(named, features=kind(features))


def _unreachable(source: str, what: str, *, help: str, cause: Sequence[str] = ()) -> DataError:
    return DataError("DAT-041", f"`{source}` cannot be read: {what}", help=help, cause=cause)
