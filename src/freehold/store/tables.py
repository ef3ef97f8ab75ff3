"""A snapshot as two tables in Parquet: its rows with where each came from, and its drops with their reasons.

The digest of a snapshot is over its content, never over these bytes, so that a file of another version of
Parquet is the same snapshot. Written here, the same rows give the same bytes. What a later version adds to
an example is kept in the column `more` as JSON, so that nothing is lost on the way.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, cast

from pydantic import JsonValue

from freehold.core.snapshot import Example, Snapshot

SPLITS = ("train", "dev", "test", "audit")
TEXT_COLUMNS = ("id", "input", "context", "group", "source", "licence", "consent")
JSON_COLUMNS = ("target", "history", "fields", "origin")
KNOWN = frozenset({*TEXT_COLUMNS, *JSON_COLUMNS, "row"})
DROP_COLUMNS = frozenset({"source", "row", "reason"})
REPEATED = ("source", "source_sha256", "split", "group", "licence", "consent", "reason")
_LEVEL = 3


class _Table(Protocol):
    def to_pylist(self) -> list[dict[str, JsonValue]]: ...


def rows_table(snapshot: Snapshot) -> bytes:
    """Return the rows of all splits, in order, as Parquet.

    Columns: split, id, content_digest, input, target (JSON), context, history (JSON), group, fields
    (JSON), source, row, source_sha256, origin_source, origin_row, steps, origin (JSON), licence,
    consent, more (JSON).
    """
    digests = {source.name: source.sha256 for source in snapshot.sources}
    rows = [
        _row(example, split=split.split, sha256=digests.get(example.source))
        for split in (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
        for example in split.examples
    ]
    return _parquet(rows, _ROW_TYPES)


def drops_table(snapshot: Snapshot) -> bytes:
    """Return the rows that were not used, with their reasons, as Parquet."""
    rows: list[dict[str, JsonValue]] = []
    for drop in snapshot.drops:
        values = cast("dict[str, JsonValue]", drop.to_json())
        more = {key: value for key, value in values.items() if key not in DROP_COLUMNS}
        rows.append({**{key: values[key] for key in DROP_COLUMNS}, "more": _json_or_none(more)})
    return _parquet(rows, _DROP_TYPES)


def head_of(snapshot: Snapshot) -> dict[str, JsonValue]:
    """Return everything of a snapshot that is in neither table."""
    left_out = {*SPLITS, "drops"}
    return {
        name: value
        for name, value in cast("dict[str, JsonValue]", snapshot.to_json()).items()
        if name not in left_out
    }


def sizes_of(snapshot: Snapshot) -> dict[str, JsonValue]:
    """Return how many rows are in each split, and how many were dropped."""
    splits = (snapshot.train, snapshot.dev, snapshot.test, snapshot.audit)
    return {**{split.split: len(split) for split in splits}, "drops": len(snapshot.drops)}


def snapshot_of(head: Mapping[str, JsonValue], *, rows: bytes, drops: bytes) -> Snapshot:
    """Return the snapshot that was written, equal to what it was.

    Raises:
        ValueError: the tables are no Parquet, or hold something else.
    """
    by_split: dict[str, list[JsonValue]] = {split: [] for split in SPLITS}
    for row in rows_in(rows):
        by_split[str(row["split"])].append(_example(row))
    splits = {split: {"split": split, "examples": examples} for split, examples in by_split.items()}
    dropped = [_drop(row) for row in rows_in(drops)]
    whole = {**head, **splits, "drops": dropped}
    return Snapshot.from_json(json.dumps(whole, ensure_ascii=False).encode())


def text_in(content: bytes) -> str:
    """Return all text of a Parquet file, one value a line: for a search that compression cannot defeat.

    Raises:
        ValueError: it is no Parquet.
    """
    return "\n".join(
        json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, str) else value
        for row in rows_in(content)
        for value in row.values()
        if value is not None
    )


def _row(example: Example, *, split: str, sha256: str | None) -> dict[str, JsonValue]:
    values = cast("dict[str, JsonValue]", example.to_json())
    more = {key: value for key, value in values.items() if key not in KNOWN}
    origin = example.origin
    steps: JsonValue = list(origin.steps) if origin is not None else None
    return {
        "split": split,
        "content_digest": example.content_digest,
        **{key: values.get(key) for key in TEXT_COLUMNS},
        **{key: _json_or_none(values.get(key)) for key in JSON_COLUMNS if key != "target"},
        "target": json.dumps(example.target, ensure_ascii=False),
        "row": example.row,
        "source_sha256": sha256,
        "origin_source": origin.source if origin is not None else None,
        "origin_row": origin.row if origin is not None else None,
        "steps": steps,
        "more": _json_or_none(more),
    }


def _json_or_none(value: JsonValue) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value not in (None, [], {}) else None


def _example(row: Mapping[str, JsonValue]) -> JsonValue:
    values: dict[str, JsonValue] = {
        key: row[key] for key in (*TEXT_COLUMNS, "row") if row.get(key) is not None
    }
    for key in (*JSON_COLUMNS, "more"):
        text = row.get(key)
        if isinstance(text, str):
            value = cast(JsonValue, json.loads(text))
            values.update(value if key == "more" and isinstance(value, dict) else {key: value})
    return values


def _drop(row: Mapping[str, JsonValue]) -> JsonValue:
    values = {key: row[key] for key in DROP_COLUMNS}
    more = row.get("more")
    return {**values, **json.loads(more)} if isinstance(more, str) else values


# Parquet -------------------------------------------------------------------------------------

_ROW_TYPES: Mapping[str, str] = {
    "split": "text",
    "id": "text",
    "content_digest": "text",
    "input": "text",
    "target": "text",
    "context": "text",
    "history": "text",
    "group": "text",
    "fields": "text",
    "source": "text",
    "row": "count",
    "source_sha256": "text",
    "origin_source": "text",
    "origin_row": "count",
    "steps": "texts",
    "origin": "text",
    "licence": "text",
    "consent": "text",
    "more": "text",
}
_DROP_TYPES: Mapping[str, str] = {
    "source": "text",
    "row": "count",
    "reason": "text",
    "more": "text",
}


def _parquet(rows: Sequence[Mapping[str, JsonValue]], types: Mapping[str, str]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    arrow = cast("_Arrow", pyarrow)
    kinds = {
        "text": arrow.large_string(),
        "count": arrow.int64(),
        "texts": arrow.list_(arrow.large_string()),
    }
    columns = {
        name: arrow.array([row[name] for row in rows], type=kinds[kind])
        for name, kind in types.items()
    }
    file = io.BytesIO()
    cast("_Parquet", pyarrow.parquet).write_table(
        arrow.table(columns),
        file,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=[name for name in types if name in REPEATED],
        write_statistics=False,
        store_schema=False,
    )
    return file.getvalue()


def rows_in(content: bytes) -> Iterator[dict[str, JsonValue]]:
    """Yield the rows of a Parquet file.

    Raises:
        ValueError: it is no Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    wrong = cast("type[Exception]", vars(pyarrow)["ArrowException"])
    try:
        file = cast("_Parquet", pyarrow.parquet).ParquetFile(io.BytesIO(content))
        for batch in file.iter_batches(batch_size=4096):
            yield from batch.to_pylist()
    except (wrong, OSError) as error:
        raise ValueError(str(error).split("\n", 1)[0]) from error


class _Arrow(Protocol):
    def large_string(self) -> object: ...
    def int64(self) -> object: ...
    def list_(self, inner: object) -> object: ...
    def array(self, values: Sequence[object], *, type: object) -> object: ...
    def table(self, columns: Mapping[str, object]) -> object: ...


class _File(Protocol):
    def iter_batches(self, *, batch_size: int) -> Iterable[_Table]: ...


class _Parquet(Protocol):
    def write_table(
        self,
        table: object,
        where: io.BytesIO,
        *,
        compression: str,
        compression_level: int,
        use_dictionary: Sequence[str],
        write_statistics: bool,
        store_schema: bool,
    ) -> None: ...
    def ParquetFile(self, source: io.BytesIO) -> _File: ...
