from __future__ import annotations

import csv
import datetime
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.core.errors import DataError
from freehold.core.sections import Columns
from freehold.data.read import Reading, read

ROWS = [{"text": f"question {n}", "label": "ab"[n % 2]} for n in range(6)]


def lines(rows: Sequence[Mapping[str, object]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read_bytes(folder: Path, name: str, content: bytes, columns: Columns | None = None) -> Reading:
    (folder / name).write_bytes(content)
    return read(name, columns=columns or Columns(), root=folder)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert all(problem.help for problem in caught.value.problems)
    return caught.value.problems[0].code


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_parquet(rows: Sequence[Mapping[str, object]]) -> bytes:
    make = cast("Callable[[object], object]", attrgetter("Table.from_pylist")(pa))
    write = cast("Callable[[object, object], None]", vars(pq)["write_table"])
    out = io.BytesIO()
    write(make(rows), out)
    return out.getvalue()


WRITERS: dict[str, Callable[[list[dict[str, str]]], bytes]] = {
    "x.jsonl": lambda rows: b"".join(json.dumps(r).encode() + b"\n" for r in rows),
    "x.ndjson": lambda rows: "\r\n".join(json.dumps(r, ensure_ascii=False) for r in rows).encode(),
    "x.json": lambda rows: json.dumps(rows, indent=1).encode(),
    "x.csv": as_csv,
    "x.tsv": lambda rows: as_csv(rows, "\t"),
    "x.parquet": as_parquet,
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
# Text without what no text file can hold: halves of characters, and a carriage return, which CSV
# readers and writers translate.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1
).filter(lambda text: text.strip() != "")


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=5))
def test_what_is_written_in_any_format_is_read_unchanged(
    tmp_path: Path, name: str, packing: str, pairs: list[tuple[str, str, str]]
) -> None:
    # a leading x keeps answers from being JSON text, which is parsed
    rows = [{"input": i, "target": "x" + t, "note": n} for i, t, n in pairs]
    content = PACKERS[packing](WRITERS[name](rows))
    found = read_bytes(tmp_path, name + packing, content)
    assert [(e.input, e.target, e.fields) for e in found.examples] == [
        (row["input"], row["target"], {"note": row["note"]}) for row in rows
    ]
    assert found.drops == ()
    assert found.format == "input/target"


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.tsv", "x.parquet", "x"])
@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80))
def test_bytes_of_any_kind_raise_nothing_but_a_data_error(
    tmp_path: Path, name: str, packing: str, content: bytes
) -> None:
    for written in (content, PACKERS[packing](content), b'{"text":"a","label":"b"}\n' + content):
        try:
            read_bytes(tmp_path, name + packing, written)
        except DataError as error:
            assert error.problems[0].help


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "messages",
                        "role",
                        "content",
                        "prompt",
                        "completion",
                        "conversations",
                        "from",
                        "value",
                        "instruction",
                        "output",
                        "history",
                        "context",
                        "id",
                        "text",
                        "label",
                        "chosen",
                        "rejected",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_objects_of_any_shape_raise_nothing_but_a_data_error(tmp_path: Path, value: object) -> None:
    is_row = isinstance(value, dict)
    row = cast("object", value) if is_row else {"input": value, "target": "x"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    try:
        found = read("x.jsonl", columns=Columns(), root=tmp_path)
    except DataError:
        return
    assert len(found.examples) + len(found.drops) == found.rows == 1


def test_the_file_of_the_user_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines([*ROWS, {"text": "", "label": "a"}]))
    before = path.read_bytes(), path.stat().st_mtime_ns
    read("x.jsonl", columns=Columns(), root=tmp_path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.jsonl"]


def test_every_dropped_row_has_its_number_and_a_reason(tmp_path: Path) -> None:
    content = b"\n".join(
        [
            b'\xef\xbb\xbf{"text": "first", "label": "a"}\r',
            b"",
            b'{"text": "  ", "label": "a"}',
            b'{"text": "x"}',
            b'{"text": "x", "label": null}',
            b'{"text": "x", "label": ""}',
            b"[1, 2]",
            b'{"text": "x", "label": ',
            b'{"text": "caf\xe9", "label": "a"}',
            b'{"text": ["x"], "label": "a"}',
            b'{"text": "\\ud83d", "label": "a"}',
            b'{"text": "x", "label": "a", "label": "b"}',
            b'{"text": "x", "label": NaN}',
            b'{"text": "x", "label": 1e999}',
            b'{"label": "a"}',
            b'{"text": "last", "label": "b"}',
        ]
    )
    found = read_bytes(tmp_path, "x.jsonl", content)
    assert [(d.row, d.reason) for d in found.drops] == [
        (3, "empty input"),
        (4, "no target"),
        (5, "no target"),
        (6, "empty target"),
        (7, "not a JSON object"),
        (8, "invalid JSON"),
        (9, "invalid UTF-8"),
        (10, "the input is not text"),
        (11, "half of a character (a lone surrogate)"),
        (12, "the same key twice in one object"),
        (13, "NaN or infinity is no JSON number"),
        (14, "NaN or infinity is no JSON number"),
        (15, "no input"),
    ]
    assert [(e.row, e.input, e.target) for e in found.examples] == [
        (1, "first", "a"),
        (16, "last", "b"),
    ]
    assert found.rows == 15  # the blank line is no row


def test_rows_of_a_spreadsheet_keep_its_numbers_and_lines_inside_cells(tmp_path: Path) -> None:
    content = b'text,label\n"two\nlines",a\nshort\n,b\ncaf\xe9,a\n"x"y,b\nlast,b\n'
    found = read_bytes(tmp_path, "x.csv", content)
    assert [(e.row, e.input) for e in found.examples] == [(2, "two\nlines"), (7, "last")]
    assert [(d.row, d.reason) for d in found.drops] == [
        (3, "more or fewer cells than the heading"),
        (4, "empty input"),
        (5, "invalid UTF-8"),
        (6, "text after a closing quote"),
    ]


def test_semicolons_separate_where_the_heading_has_no_comma(tmp_path: Path) -> None:
    found = read_bytes(tmp_path, "x.csv", b'text;label\n"a, b; c";x\n')
    assert found.examples[0].input == "a, b; c"


def test_a_long_cell_is_read(tmp_path: Path) -> None:
    found = read_bytes(tmp_path, "x.csv", b"text,label\n" + b"a" * 200_000 + b",x\n")
    assert len(found.examples[0].input) == 200_000


def test_numbers_and_truth_values_become_their_json_text(tmp_path: Path) -> None:
    content = b'{"input": 12, "target": 3}\n{"input": "x", "target": true}\n'
    found = read_bytes(tmp_path, "x.jsonl", content)
    assert [(e.input, e.target) for e in found.examples] == [("12", "3"), ("x", "true")]


def test_targets_that_are_json_text_are_parsed_and_the_odd_one_is_left_out(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"input": f"q{n}", "target": '{"a": 1}'} for n in range(19)]
    found = read_bytes(tmp_path, "x.jsonl", lines([*rows, {"input": "z", "target": "oops"}]))
    assert {json.dumps(e.target) for e in found.examples} == {'{"a": 1}'}
    assert [(d.row, d.reason) for d in found.drops] == [
        (20, "the target is no JSON object, as the others are")
    ]


def test_one_json_answer_among_text_stays_text(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"input": f"q{n}", "target": "text"} for n in range(5)]
    found = read_bytes(tmp_path, "x.jsonl", lines([*rows, {"input": "z", "target": '{"a": 1}'}]))
    assert found.examples[-1].target == '{"a": 1}'


def test_ids_come_from_the_user_or_from_the_content(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 7, "text": "a", "label": "x"},
        {"id": "", "text": "b", "label": "x"},
        {"text": "b", "label": "x"},
        {"text": "b", "label": "y"},
    ]
    ids = [e.id for e in read_bytes(tmp_path, "x.jsonl", lines(rows)).examples]
    assert ids[0] == "7"
    assert ids[1].startswith("ex-") and len(ids[1]) == 15
    assert ids[2] == ids[1] + "-2"
    assert ids[3] != ids[1]
    moved = read_bytes(tmp_path, "y.jsonl", lines(rows[::-1])).examples
    assert {e.id for e in moved} == set(ids)


def test_other_columns_are_kept_as_text(tmp_path: Path) -> None:
    row: dict[str, object] = {"text": "a", "label": "b", "n": 3, "tags": ["x"], "none": None}
    found = read_bytes(tmp_path, "x.jsonl", lines([row]))
    assert found.examples[0].fields == {"n": "3", "tags": '["x"]'}


def test_parquet_values_become_json_values(tmp_path: Path) -> None:
    rows = [
        {
            "text": "a",
            "label": 2,
            "when": datetime.date(2026, 1, 2),
            "price": Decimal("1.50"),
            "picture": b"\0",
            "score": float("nan"),
        }
    ]
    example = read_bytes(tmp_path, "x.parquet", as_parquet(rows)).examples[0]
    assert example.target == "2"
    assert example.fields == {"when": "2026-01-02", "price": "1.50"}


# Sources -------------------------------------------------------------------------------------


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.jsonl").write_bytes(lines(ROWS[:1]))
    (tmp_path / "data" / "a.csv.gz").write_bytes(
        gzip.compress(b"text,label\nfrom csv,a\n", mtime=0)
    )
    (tmp_path / "data" / "README.md").write_text("not read")
    (tmp_path / "data" / ".hidden.jsonl").write_text("not read")
    found = read("data", columns=Columns(), root=tmp_path)
    assert [s.name for s in found.sources] == ["data/a.csv.gz", "data/b.jsonl"]
    assert [e.source for e in found.examples] == ["data/a.csv.gz", "data/b.jsonl"]
    assert read("data/*.jsonl", columns=Columns(), root=tmp_path).rows == 1
    assert read(["data/b.jsonl"], columns=Columns(), root=tmp_path).rows == 1


def test_an_id_that_two_files_use_gets_the_name_of_its_file(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(lines([{"id": 1, "text": name, "label": "x"}]))
    found = read(["a.jsonl", "b.jsonl"], columns=Columns(), root=tmp_path)
    assert [e.id for e in found.examples] == ["1", "b:1"]


@pytest.mark.parametrize(
    "content",
    [
        lines([{"text": "a", "label": "b"}]),
        b'[{"text": "a", "label": "b"}]',
        b"text,label\na,b\n",
        b"text\tlabel\na\tb\n",
        as_parquet([{"text": "a", "label": "b"}]),
        gzip.compress(b"text,label\na,b\n", mtime=0),
        zstandard.ZstdCompressor().compress(b'{"text": "a", "label": "b"}'),
    ],
)
def test_the_standard_input_is_recognised_by_its_content(tmp_path: Path, content: bytes) -> None:
    found = read("-", columns=Columns(), root=tmp_path, stdin=io.BytesIO(content))
    assert [(e.input, e.target) for e in found.examples] == [("a", "b")]
    assert found.sources[0].name == "-"


def test_json_may_wrap_its_rows_or_be_lines(tmp_path: Path) -> None:
    wrapped = b'{"version": 1, "data": [{"text": "a", "label": "b"}]}'
    assert read_bytes(tmp_path, "x.json", wrapped).examples[0].input == "a"
    assert read_bytes(tmp_path, "y.json", lines(ROWS)).rows == 6


def test_the_digest_is_of_the_file_as_it_lies_there(tmp_path: Path) -> None:
    content = gzip.compress(lines(ROWS), mtime=0)
    source = read_bytes(tmp_path, "x.jsonl.gz", content).sources[0]
    assert source.sha256 == "sha256:" + hashlib.sha256(content).hexdigest()
    assert source.rows == 6


# Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.jsonl", b"", "DAT-002"),
        ("x.jsonl", b"\n \n", "DAT-002"),
        ("x.csv", b"text,label\n", "DAT-002"),
        ("x.jsonl.gz", gzip.compress(b"", mtime=0), "DAT-002"),
        ("x.jsonl", b"\0\1\2", "DAT-003"),
        ("x.csv", "text,label\na,b\n".encode("utf-16"), "DAT-003"),
        ("x.jsonl", as_parquet([{"text": "a"}]), "DAT-003"),
        ("x.docx", b"PK", "DAT-004"),
        ("x.jsonl.gz", b"no gzip", "DAT-005"),
        ("x.jsonl.gz", gzip.compress(lines(ROWS), mtime=0)[:-9], "DAT-005"),
        ("x.jsonl.zst", zstandard.ZstdCompressor().compress(lines(ROWS) * 9)[:-3], "DAT-005"),
        ("x.jsonl.zst", b"no zstandard", "DAT-005"),
        ("x.parquet", b"PAR1 and no more", "DAT-005"),
        ("x.jsonl", b'{"alpha": "a", "beta": "b"}', "DAT-006"),
        ("x.jsonl", b'{"text": "a", "label": "b"}\n' * 2 + b'{"messages": []}', "DAT-008"),
        ("x.jsonl", b'{"id": 1, "text": "a", "label": "b"}\n' * 2, "DAT-009"),
        ("x.jsonl", b'{"text": "a", "label": ""}\n' * 3, "DAT-010"),
        ("x.jsonl", b"nonsense\n" * 3, "DAT-010"),
        ("x.json", b'{"a": 1', "DAT-015"),
        ("x.json", b'["\xe9"]', "DAT-015"),
        ("x.csv", b'text,label\na,b\n"open,b\nc,d\n', "DAT-015"),
        ("x.csv", b"text,label,text\na,b,c\n", "DAT-015"),
        ("x.jsonl", b'{"prompt": "a", "chosen": "b", "rejected": "c"}', "DAT-017"),
        ("x.jsonl", b'{"prompt": "a", "completion": "b", "label": true}', "DAT-017"),
    ],
)
def test_bad_files_are_refused_with_a_code_and_a_way_out(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    assert code_of(lambda: read_bytes(tmp_path, name, content)) == code


def test_a_misspelt_file_is_answered_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "examples.jsonl").write_bytes(lines(ROWS))
    with pytest.raises(DataError) as caught:
        read("exmaples.jsonl", columns=Columns(), root=tmp_path)
    assert caught.value.problems[0].help == "did you mean `examples.jsonl`?"
    for name in ("nowhere/x.jsonl", "x" * 300, "a\0b", "*.csv"):
        assert code_of(lambda name=name: read(name, columns=Columns(), root=tmp_path)) == "DAT-001"


def test_mixed_rows_and_repeated_ids_are_named_by_their_numbers(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    row: dict[str, object] = {"text": "a", "label": "b"}
    mixed: list[dict[str, object]] = [row, row, row, {**chat}, {**chat}]
    with pytest.raises(DataError) as caught:
        read_bytes(tmp_path, "x.jsonl", lines(mixed))
    assert "rows 4, 5 are `OpenAI messages`" in caught.value.problems[0].message
    twice: list[dict[str, object]] = [{"id": "k", "text": f"{n}", "label": "b"} for n in range(3)]
    with pytest.raises(DataError) as caught:
        read_bytes(tmp_path, "y.jsonl", lines(twice))
    assert caught.value.problems[0].message == "the id `k` is used by rows 1, 2, 3"


def test_unclear_columns_are_listed_with_the_line_that_settles_them(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_bytes(tmp_path, "x.csv", b"subject,team\nhello,red\n")
    problem = caught.value.problems[0]
    assert "`subject`, `team`" in problem.message
    assert "columns: {input: subject, target: team}" in problem.help


def test_the_users_columns_win(tmp_path: Path) -> None:
    content = b"key,subject,body,team,level\nk1,Hi,Where is it?,red,2\n"
    columns = Columns(input=("subject", "body"), target=("team", "level"), id="key")
    example = read_bytes(tmp_path, "x.csv", content, columns).examples[0]
    assert example.input == "subject: Hi\nbody: Where is it?"
    assert example.target == {"team": "red", "level": "2"}
    assert example.id == "k1"
    half = read_bytes(tmp_path, "y.csv", content, Columns(target="team")).examples[0]
    assert (half.input, half.target) == ("Where is it?", "red")


@pytest.mark.parametrize(
    "columns", [Columns(input="tetx", target="label"), Columns(id="key"), Columns(target="lable")]
)
def test_a_column_that_no_row_has_is_refused(tmp_path: Path, columns: Columns) -> None:
    assert code_of(lambda: read_bytes(tmp_path, "x.jsonl", lines(ROWS), columns)) == "DAT-007"
