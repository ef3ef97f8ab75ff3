"""Damaged and hostile files: never a traceback, rows by number, memory bounded, the file untouched."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import DataError
from freehold.core.sections import Columns
from freehold.data.documents import read_documents
from freehold.data.files import find_files
from freehold.data.limits import Limits
from freehold.data.preferences import read_preferences
from freehold.data.read import Reading, read
from freehold.data.stream import survey

ROWS = [
    {"text": f"question {n} ä", "label": "ab"[n % 2], "parts": [{"deep": [1.5, None]}]}
    for n in range(9)
]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
PAIRS = "".join(
    json.dumps(
        {"prompt": f"q{n}", "chosen": [{"role": "assistant", "content": "a"}], "rejected": "b"}
    )
    + "\n"
    for n in range(9)
).encode()
CSV = "text,label\n" + "".join(f'"question ""{n}"", ä","{"ab"[n % 2]}"\n' for n in range(9))
PAGE = "<html><head><title>T</title></head><body><p>text &amp; ä</p><table><td>x</body></html>"


def as_parquet(**settings: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out, **settings)  # pyright: ignore
    return out.getvalue()


def as_arrow(*, is_stream: bool) -> bytes:
    out, table = io.BytesIO(), pa.Table.from_pylist(ROWS)  # pyright: ignore
    make = pa.ipc.new_stream if is_stream else pa.ipc.new_file  # pyright: ignore
    with make(out, table.schema) as writer:  # pyright: ignore
        writer.write_table(table)  # pyright: ignore
    return out.getvalue()


def as_docx() -> bytes:
    out = io.BytesIO()
    name = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        body = "<w:p><w:r><w:t>text</w:t></w:r></w:p>" * 9
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{name}">{body}</w:document>')
    return out.getvalue()


def a_pdf() -> bytes:
    import pypdf

    writer, out = pypdf.PdfWriter(), io.BytesIO()
    writer.add_blank_page(200, 200)
    writer.add_metadata({"/Title": "T"})
    writer.write(out)
    return out.getvalue()


def read_rows(path: Path) -> tuple[int, ...]:
    found = read(path.name, columns=Columns(), root=path.parent)
    return tuple(drop.row for drop in found.drops)


def read_pairs(path: Path) -> tuple[int, ...]:
    return tuple(drop.row for drop in read_preferences(path.name, root=path.parent).drops)


def read_texts(path: Path) -> tuple[int, ...]:
    read_documents(path)
    return ()


def surveyed(path: Path) -> tuple[int, ...]:
    (file,) = find_files(path.name, root=path.parent)
    return tuple(row for drop in survey(file, columns=Columns()).survey.drops for row in drop.first)


READERS: dict[str, tuple[str, bytes, Callable[[Path], tuple[int, ...]]]] = {
    "JSON lines": ("x.jsonl", LINES, read_rows),
    "a survey": ("x.jsonl", LINES, surveyed),
    "a JSON list": ("x.json", json.dumps(ROWS, indent=1).encode(), read_rows),
    "a JSON object": ("x.json", json.dumps({"data": ROWS}).encode(), read_rows),
    "CSV": ("x.csv", CSV.encode(), read_rows),
    "TSV": ("x.tsv", CSV.replace(",", "\t").encode(), read_rows),
    "gzip": ("x.jsonl.gz", gzip.compress(LINES), read_rows),
    "zstandard": ("x.jsonl.zst", zstandard.ZstdCompressor().compress(LINES), read_rows),
    "Parquet": ("x.parquet", as_parquet(), read_rows),
    "plain Parquet": ("x.parquet", as_parquet(compression="none", use_dictionary=False), read_rows),
    "Arrow": ("x.arrow", as_arrow(is_stream=False), read_rows),
    "an Arrow stream": ("x.feather", as_arrow(is_stream=True), read_rows),
    "no suffix": ("x", LINES, read_rows),
    "preferences": ("p.jsonl", PAIRS, read_pairs),
    "documents as lines": ("d.jsonl", b'{"id": 1, "text": "a"}\n{"text": "b"}\n', read_texts),
    "Markdown": ("d.md", "# Title\n\ntext ä\n".encode(), read_texts),
    "HTML": ("d.html", PAGE.encode(), read_texts),
    "Word": ("d.docx", as_docx(), read_texts),
    "PDF": ("d.pdf", a_pdf(), read_texts),
}
ODD = st.sampled_from(
    [
        *(
            b"\0",
            b"\n",
            b"\r",
            b'"',
            b"\\",
            b"{",
            b"[" * 200,
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"\xed\xa0\x80",
        ),
        *(
            b"\\ud800",
            b"1e999",
            b"NaN",
            b"9" * 5000,
            b"\xff\xff\xff\x7f",
            b"\xff\xff\xff\xff",
            b"<!--",
            b"]]>",
        ),
    ]
)


@st.composite
def a_change(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Return a function that damages bytes: cuts, doubles, writes over or puts something in."""
    at, length = draw(st.floats(0, 1)), draw(st.integers(1, 30))
    piece = draw(ODD | st.binary(min_size=1, max_size=8))
    kind = draw(st.sampled_from(["cut the end", "cut out", "twice", "over", "in"]))

    def change(content: bytes) -> bytes:
        start = int(at * len(content))
        before, part, after = (
            content[:start],
            content[start : start + length],
            content[start + length :],
        )
        match kind:
            case "cut the end":
                return before
            case "cut out":
                return before + after
            case "twice":
                return before + part + part + after
            case "over":
                return before + piece + content[start + len(piece) :]
            case _:
                return before + piece + part + after

    return change


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=100)
@given(changes=st.lists(a_change(), min_size=1, max_size=3))
def test_a_damaged_file_is_read_or_refused_and_stays_as_it_is(
    reader: str, changes: list[Callable[[bytes], bytes]]
) -> None:
    name, content, look = READERS[reader]
    for change in changes:
        content = change(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        before = hashlib.sha256(content).digest()
        try:
            rows = look(path)
        except DataError as error:
            for problem in error.problems:
                assert problem.help
                assert problem.where is None or problem.where.row is None or problem.where.row > 0
        else:
            assert all(row > 0 for row in rows)
        assert hashlib.sha256(path.read_bytes()).digest() == before
        assert [p.name for p in Path(folder).iterdir()] == [name]


# One by one ----------------------------------------------------------------------------------


def read_bytes(folder: Path, name: str, content: bytes, limits: Limits | None = None) -> Reading:
    (folder / name).write_bytes(content)
    return read(name, columns=Columns(), root=folder, limits=limits or Limits())


def refused(folder: Path, name: str, content: bytes, limits: Limits | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        read_bytes(folder, name, content, limits)
    assert caught.value.problems[0].help
    return caught.value


def drops(reading: Reading) -> list[tuple[int, str]]:
    return [(drop.row, drop.reason) for drop in reading.drops]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_small_file_that_unpacks_to_very_much_is_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    name = "x.jsonl.gz" if pack is gzip.compress else "x.jsonl.zst"
    line = json.dumps({"text": "a" * 50_000, "label": "b"}).encode() + b"\n"
    bomb = pack(line * 200)
    error = refused(tmp_path, name, bomb, Limits(unpacked_bytes=1_000_000, unpacked_ratio=50))
    assert error.problems[0].code == "DAT-040"
    assert "no text of examples is packed so densely" in error.problems[0].message
    assert len(read_bytes(tmp_path, name, bomb).examples) == 200


def test_a_bomb_of_zeros_is_refused_at_its_first_bytes_and_never_held(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    tracemalloc.start()
    error = refused(tmp_path, "x.jsonl.zst", bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.problems[0].code == "DAT-003"
    assert peak < 1 << 27


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_that_is_too_long_is_left_out_and_never_held(tmp_path: Path, end: bytes) -> None:
    good = b'{"text": "a", "label": "b"}\n'
    long_line = b'{"text": "' + b"x" * 30_000_000 + b'", "label": "b"}' + end
    path = tmp_path / "x.jsonl"
    path.write_bytes(good + long_line + (good if end else b""))
    tracemalloc.start()
    found = read("x.jsonl", columns=Columns(), root=tmp_path, limits=Limits(line_bytes=1_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drops(found) == [(2, "longer than a row may be")]
    assert len(found.examples) == (2 if end else 1)
    assert peak < 10_000_000


def test_a_long_row_of_a_table_is_left_out(tmp_path: Path) -> None:
    limits = Limits(line_bytes=100)
    table = b"text,label\na,b\n" + b"x" * 300 + b",b\nc,d\n"
    assert drops(read_bytes(tmp_path, "x.csv", table, limits)) == [(3, "longer than a row may be")]
    within = b'text,label\na,b\n"x\n' + b"y" * 300 + b'\nz",b\nc,d\n'
    assert drops(read_bytes(tmp_path, "x.csv", within, limits)) == [(3, "longer than a row may be")]
    many = b'text,label\na,b\n"open' + b"y\n" * 300
    assert refused(tmp_path, "x.csv", many, limits).problems[0].code == "DAT-015"
    heading = b"x" * 300 + b",label\na,b\n"
    assert refused(tmp_path, "x.csv", heading, limits).problems[0].code == "DAT-015"
    listed = json.dumps([{"text": "a", "label": "b"}, {"text": "x" * 3_000_000, "label": "b"}])
    error = refused(tmp_path, "x.json", listed.encode(), limits)
    assert error.problems[0].where is not None
    assert error.problems[0].where.row == 2
    columns = [{"text": "a", "label": "b"}, {"text": "x" * 101, "label": "b"}]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(columns), out)  # pyright: ignore
    found = read_bytes(tmp_path, "x.parquet", out.getvalue(), limits)
    assert drops(found) == [(2, "longer than a row may be")]


def test_what_has_to_be_held_whole_has_a_limit(tmp_path: Path) -> None:
    limits = Limits(whole_bytes=500)
    whole = json.dumps({"data": ROWS}).encode()
    assert refused(tmp_path, "x.json", whole, limits).problems[0].code == "DAT-040"
    with pytest.raises(DataError, match="DAT-040"):
        read("-", columns=Columns(), root=tmp_path, stdin=io.BytesIO(LINES), limits=limits)
    packed = gzip.compress(as_parquet())
    assert refused(tmp_path, "x.parquet.gz", packed, limits).problems[0].code == "DAT-040"


def test_deep_nesting_is_left_out_by_its_row(tmp_path: Path) -> None:
    good = b'{"text": "a", "label": "b"}\n'
    content = good
    for depth in (99, 101, 900, 100_000):
        content += b'{"text": "a", "label": ' + b"[" * depth + b"1" + b"]" * depth + b"}\n"
    found = read_bytes(tmp_path, "x.jsonl", content)
    deep = "objects or lists inside each other deeper than a row may be"
    assert drops(found) == [(3, deep), (4, deep), (5, deep)]
    listed = b"[" + content.strip().replace(b"\n", b",") + b"]"
    assert refused(tmp_path, "x.json", listed).problems[0].code == "DAT-015"


def test_numbers_and_keys_that_cannot_be_kept_are_left_out(tmp_path: Path) -> None:
    rows = [
        '{"text": "a", "label": "b", "n": %s}' % ("9" * 5000),
        '{"text": "a", "label": "b", "n": 1e999}',
        '{"text": "a", "label": "b", "n": -Infinity}',
        '{"text": "a", "label": "b", "text": "c"}',
        '{"text": "a\\ud800", "label": "b"}',
        '{"text": "a\0", "label": "b"}',
        '{"text": "%s", "label": "b"}' % ("9" * 5000),
        '{"text": 123456789012345678901234567890, "label": "b"}',
    ]
    reasons = [
        "a number with more than 4,300 digits",
        "NaN or infinity is no JSON number",
        "NaN or infinity is no JSON number",
        "the same key twice in one object",
        "half of a character (a lone surrogate)",
        "invalid JSON",
    ]
    found = read_bytes(tmp_path, "x.jsonl", (" \n" * 5000 + "\n".join(rows)).encode())
    assert drops(found) == [(5001 + n, reason) for n, reason in enumerate(reasons)]
    assert found.examples[1].input == "123456789012345678901234567890"
    listed = read_bytes(tmp_path, "x.json", f"[{','.join(rows[:5] + rows[6:])}]".encode())
    assert drops(listed) == [(1 + n, reason) for n, reason in enumerate(reasons[:5])]


def test_a_list_is_read_piece_by_piece_and_its_broken_item_is_named(tmp_path: Path) -> None:
    rows = [{"text": f"{n} " + "ä" * 300, "label": "ab"[n % 2]} for n in range(9000)]
    whole = json.dumps(rows, ensure_ascii=False)
    found = read_bytes(tmp_path, "x.json", whole.encode())
    assert [e.input for e in found.examples] == [row["text"] for row in rows]
    cases = {
        whole[:-1]: 9000,
        whole + "x": 9000,
        whole.replace('"label": "b"}, {"text": "4000 ', '"label": "b"} {"text": "4000 '): 4000,
        whole.replace('{"text": "4000 ', '{text: "4000 '): 4001,
        "[": 1,
        "[1 2]": 1,
    }
    for content, item in cases.items():
        error = refused(tmp_path, "x.json", content.encode())
        assert error.problems[0].code == "DAT-015"
        assert f"item {item:,}" in error.problems[0].message, content[-50:]
    assert drops(read_bytes(tmp_path, "x.json", b'[1, {"text": "a", "label": "b"}, 2.5e3]')) == [
        (1, "not a JSON object"),
        (3, "not a JSON object"),
    ]


def test_formulas_in_cells_are_text(tmp_path: Path) -> None:
    cells = ['=HYPERLINK("http://x")', "+1+1", "-2", "@SUM(A1)", "\t=1"]
    table = "text,label\n" + "".join('"' + c.replace('"', '""') + '",b\n' for c in cells)
    assert [e.input for e in read_bytes(tmp_path, "x.csv", table.encode()).examples] == cells


def test_zero_bytes_in_the_middle_of_a_table_are_left_out(tmp_path: Path) -> None:
    table = b"text,label\n" + b"a,b\n" * 2000 + b"a\0,b\n"
    assert drops(read_bytes(tmp_path, "x.csv", table)) == [(2002, "a zero byte")]


@pytest.mark.parametrize(
    ("name", "content", "code", "word"),
    [
        ("x.csv", LINES, "DAT-042", "holds JSON"),
        ("x.csv", json.dumps(ROWS).encode(), "DAT-042", "holds JSON"),
        ("x.csv", as_docx(), "DAT-003", "ZIP"),
        ("x.jsonl", as_arrow(is_stream=False), "DAT-003", "binary"),
        ("x.parquet", CSV.encode(), "DAT-005", "no Parquet"),
        ("x.arrow", as_parquet(), "DAT-005", "no Arrow"),
        ("x.arrow", b"FEA1", "DAT-005", "no Arrow"),
        ("x.jsonl", LINES.decode().encode("utf-16"), "DAT-003", "UTF-16"),
        ("x.jsonl", LINES.decode().encode("utf-16-le"), "DAT-003", "binary"),
        ("x.csv", CSV.encode("utf-32"), "DAT-003", "UTF-16"),
        ("x.csv", CSV.replace("\n", "\r").encode(), "DAT-015", "carriage return"),
        ("x.xlsx", as_docx(), "DAT-004", ".xlsx"),
    ],
)
def test_a_file_of_another_type_than_its_name_says_so(
    tmp_path: Path, name: str, content: bytes, code: str, word: str
) -> None:
    problem = refused(tmp_path, name, content).problems[0]
    assert (problem.code, word in problem.message) == (code, True), problem.message


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "y.arrow"])
def test_a_table_that_was_cut_is_refused(tmp_path: Path, name: str) -> None:
    whole = as_parquet() if name == "x.parquet" else as_arrow(is_stream=name == "y.arrow")
    assert len(read_bytes(tmp_path, name, whole).examples) == 9
    for share in (0.1, 0.5, 0.9):
        cut = whole[: int(share * len(whole))]
        assert refused(tmp_path, name, cut).problems[0].code == "DAT-005"


def test_a_table_with_one_name_twice_or_an_odd_value_is_not_guessed(tmp_path: Path) -> None:
    table = pa.table([["a"], ["b"], ["c"]], names=["text", "label", "text"])  # pyright: ignore
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:  # pyright: ignore
        writer.write_table(table)  # pyright: ignore
    assert refused(tmp_path, "x.arrow", out.getvalue()).problems[0].code == "DAT-015"
    days = pa.array([1, 2**31 - 1], pa.int32()).cast(pa.date32())  # pyright: ignore
    odd = pa.table({"text": ["a", "b"], "label": ["c", "d"], "day": days})  # pyright: ignore
    out = io.BytesIO()
    pq.write_table(odd, out)  # pyright: ignore
    found = read_bytes(tmp_path, "x.parquet", out.getvalue())
    assert len(found.examples) == 1
    assert found.drops[0].row == 2
