"""The readers of rows, one per type of file."""

from __future__ import annotations

from collections.abc import Mapping

from freehold.data.rows import RowReader, read_csv, read_json, read_jsonl, read_tsv
from freehold.data.tables import read_arrow, read_parquet

READERS: Mapping[str, RowReader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
    ".ipc": read_arrow,
}
