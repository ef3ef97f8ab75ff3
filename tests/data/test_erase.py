"""Taking rows out of files: what is left is what was there, byte for byte where the format allows."""

import csv
import gzip
import io
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import DataError
from freehold.core.snapshot import Example, Origin
from freehold.data.derived import write_examples
from freehold.data.erase import (
    FileContent,
    Wanted,
    folded,
    paragraphs_with,
    raw_rows,
    read_whole,
    readings_of,
    without_paragraphs,
    without_rows,
)
from freehold.data.files import find_files

pa: Any = import_module("pyarrow")  # its types are incomplete
pq: Any = import_module("pyarrow.parquet")
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n",;'), max_size=8
)
ROWS = st.lists(st.fixed_dictionaries({"a": TEXTS, "b": TEXTS}), min_size=1, max_size=8)


def whole(folder: Path, name: str, content: bytes) -> FileContent:
    (folder / name).write_bytes(content)
    return read_whole(find_files(name, root=folder)[0])


def draw_rows(data: st.DataObject, numbers: list[int]) -> set[int]:
    return set(data.draw(st.lists(st.sampled_from(numbers), max_size=len(numbers))))


@settings(max_examples=40)
@given(rows=ROWS, data=st.data(), end=st.sampled_from(["\n", "\r\n"]))
def test_other_json_lines_stay_as_they_are(
    rows: list[dict[str, str]],
    data: st.DataObject,
    end: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lines = [(json.dumps(row) + end).encode() for row in rows]
    found = whole(tmp_path_factory.mktemp("lines"), "x.jsonl", b"".join(lines))
    gone = draw_rows(data, list(range(1, len(rows) + 1)))
    kept = [line for number, line in enumerate(lines, 1) if number not in gone]
    assert without_rows(found, gone) == b"".join(kept)


@settings(max_examples=60)
@given(rows=ROWS, data=st.data(), separator=st.sampled_from([",", ";"]))
def test_other_csv_records_stay_as_they_are(
    rows: list[dict[str, str]],
    data: st.DataObject,
    separator: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    records: list[bytes] = []
    for row in [{"a": "a", "b": "b"}, *rows]:
        text = io.StringIO()
        csv.writer(text, delimiter=separator, lineterminator="\n").writerow(row.values())
        records.append(text.getvalue().encode())
    found = whole(tmp_path_factory.mktemp("records"), "x.csv", b"".join(records))
    numbers = [row.number for row in raw_rows(found)]
    gone = draw_rows(data, numbers) if numbers else set[int]()
    kept = [record for number, record in enumerate(records, 1) if number not in gone]
    assert without_rows(found, gone) == b"".join(kept)


@settings(max_examples=60)
@given(
    rows=ROWS,
    data=st.data(),
    indent=st.sampled_from([None, 2]),
    around=st.sampled_from(
        ["%s", '{"note": [1], "rows": %s, "more": {"rows": [2]}}', "\ufeff%s\n"]
    ),
)
def test_a_json_list_keeps_its_other_items_and_stays_json(
    rows: list[dict[str, str]],
    data: st.DataObject,
    indent: int | None,
    around: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    text = around % json.dumps(rows, indent=indent, ensure_ascii=False)
    found = whole(tmp_path_factory.mktemp("items"), "x.json", text.encode())
    assert [dict(row.columns or {}) for row in raw_rows(found)] == rows
    gone = draw_rows(data, list(range(1, len(rows) + 1)))
    after = without_rows(found, gone).decode()
    value: Any = json.loads(after.removeprefix("\ufeff"))
    left: Any = value["rows"] if around.startswith("{") else value
    assert left == [row for number, row in enumerate(rows, 1) if number not in gone]
    if not gone:
        assert after == text


@pytest.mark.parametrize(
    ("name", "pack"), [("x.jsonl.gz", gzip.compress), ("x.jsonl.zst", zstandard.compress)]
)
def test_packed_files_are_packed_again(tmp_path: Path, name: str, pack: Any) -> None:
    found = whole(tmp_path, name, pack(b'{"a": 1}\n{"a": 2}\n{"a": 3}\n'))
    (tmp_path / name).write_bytes(without_rows(found, {2}))
    again = read_whole(find_files(name, root=tmp_path)[0])
    assert again.content == b'{"a": 1}\n{"a": 3}\n'
    assert without_rows(found, {2}) == without_rows(found, {2})


def test_parquet_keeps_its_schema_and_its_other_rows(tmp_path: Path) -> None:
    table = pa.table(
        {"text": ["a", "b", "c"], "n": pa.array([1, 2, 3], pa.int8())},
        metadata={"made": "by hand"},
    )
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    found = read_whole(find_files("x.parquet", root=tmp_path)[0])
    assert [row.texts for row in raw_rows(found)] == [("a", "1"), ("b", "2"), ("c", "3")]
    (tmp_path / "x.parquet").write_bytes(without_rows(found, {2}))
    after = pq.ParquetFile(tmp_path / "x.parquet")
    assert after.read().to_pylist() == [{"text": "a", "n": 1}, {"text": "c", "n": 3}]
    assert after.schema_arrow.field("n").type == pa.int8()
    assert after.schema_arrow.metadata[b"made"] == b"by hand"
    assert after.metadata.row_group(0).column(0).compression == "ZSTD"


def test_rows_that_cannot_be_read_are_found_by_their_bytes(tmp_path: Path) -> None:
    content = b'{"a": "fine"}\n{"a": "jane@example.org"\n{"a": 3}\n'
    rows = raw_rows(whole(tmp_path, "x.jsonl", content))
    assert [row.columns is None for row in rows] == [False, True, False]
    needle = folded("JANE@example.org")
    assert [r.number for r in rows if any(needle in folded(t) for t in r.texts)] == [2]


def test_rows_that_freehold_wrote_follow_the_rows_they_came_from(tmp_path: Path) -> None:
    examples = [
        Example(id=str(n), input=f"text {n}", target="x", origin=Origin(source="raw.csv", row=n))
        for n in (2, 5, 9)
    ]
    write_examples(examples, tmp_path / "made.jsonl", root=tmp_path)
    found = read_whole(find_files("made.jsonl", root=tmp_path)[0])
    after = without_rows(found, {2}, renumber={"raw.csv": [3, 5, 8]})
    rows = [json.loads(line) for line in after.splitlines()]
    assert [(row["id"], row["freehold"]["row"]) for row in rows] == [("2", 2), ("9", 6)]
    assert after.splitlines()[0] == found.content.splitlines()[0]


def test_a_document_loses_the_paragraphs_that_hold_the_text() -> None:
    content = b"# Title\n\nAsk Jane\nDoe about it.\n\n\nLast words.\n"
    lines = paragraphs_with(content, folded("jane doe"))
    assert lines == (3,)
    assert without_paragraphs(content, lines) == b"# Title\n\nLast words.\n"
    assert without_paragraphs(content, ()) == content


def test_a_text_is_found_in_every_form_that_it_is_written_in() -> None:
    needle = folded('Zoë "Z" O\u2019Hara & Sons')
    for form in (
        json.dumps('Zoë "Z" O\u2019Hara & Sons'),
        json.dumps('ZOË "Z" O\u2019HARA & SONS', ensure_ascii=False),
        "Zoe\u0308 &quot;Z&quot; O’Hara &amp; Sons",
        '"Zoë ""Z""\nO’Hara & Sons"',
    ):
        assert any(needle in text for text in readings_of(form.encode())), form


def test_examples_are_wanted_by_text_id_or_condition() -> None:
    jane = Example(id="1", input="Hello", target={"to": ["Jane"]}, fields={"customer": "c-17"})
    joe = Example(id="2", input="Jan e", target="x", fields={"customer": "c-18"})
    both = [jane, joe]
    for wanted in (
        Wanted("match", "jane"),
        Wanted("id", "1"),
        Wanted("filter", 'customer == "c-17"'),
    ):
        holds = wanted.holds(both)
        assert [holds(example) for example in both] == [True, False]
    with pytest.raises(DataError, match="DAT-013"):
        Wanted("filter", "custmer == 1").holds(both)
