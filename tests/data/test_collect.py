"""Bad documents among good ones: said by name, counted, and no reason to stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freehold.core.codes import CODES
from freehold.core.errors import DataError
from freehold.data.collect import collect
from freehold.data.document_text import A_SCAN
from freehold.data.limits import Limits

SMALL = Limits(document_bytes=2_000)


def rows(path: Path, *documents: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")


def a_scan() -> bytes:
    """A PDF with one page that draws nothing but a box."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R >>",
        b"<< /Length 12 >>\nstream\n0 0 9 9 re f\nendstream",
    ]
    content, places = b"%PDF-1.4\n", list[int]()
    for number, body in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(content)
    content += b"xref\n0 5\n0000000000 65535 f \n"
    content += b"".join(b"%010d 00000 n \n" % place for place in places)
    return content + b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


def test_a_folder_with_bad_files_works_with_the_rest_and_names_them(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("The good one.")
    (tmp_path / "copy.txt").write_text("The good one.")
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "huge.txt").write_text("x" * 3_000)
    (tmp_path / "scan.pdf").write_bytes(a_scan())
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    rows(
        tmp_path / "rows.jsonl",
        {"id": "r1", "text": "Row one."},
        {"id": "r2"},
        {"id": "r1", "text": "Another text."},
        {"id": "r3", "text": "Labelled.", "access": ["hr", "hr", "legal"]},
        {"id": "r4", "text": "Badly labelled.", "access": {"who": "hr"}},
        {"id": "r5", "text": "Nobody's.", "access": []},
    )
    found = collect(tmp_path, limits=SMALL)
    assert [one.id for one in found.documents] == ["copy.txt", "r1", "r3"]
    assert found.documents[2].access == ("hr", "legal")
    by_name = {drop.name: drop.code for drop in found.drops}
    assert by_name == {
        "good.txt": "DOC-025",
        "empty.md": "DOC-021",
        "huge.txt": "DOC-022",
        "scan.pdf": "DOC-023",
        "latin.txt": "DOC-024",
        "rows.jsonl:2": "DOC-024",
        "rows.jsonl:5": "DOC-024",
        "rows.jsonl:6": "DOC-024",
        "r1": "DOC-026",
    }
    scan = next(drop for drop in found.drops if drop.name == "scan.pdf")
    assert A_SCAN in scan.reason
    problems = {problem.code: problem for problem in found.problems}
    assert set(problems) <= set(CODES)
    assert "3 documents" not in problems["DOC-023"].message
    assert "`scan.pdf`" in problems["DOC-023"].message
    assert "OCR" in problems["DOC-023"].help
    assert "4 documents are left out" in problems["DOC-024"].message
    assert all(problem.level == "warning" for problem in found.problems)


def test_a_text_in_two_places_is_for_those_who_may_see_both(tmp_path: Path) -> None:
    rows(
        tmp_path / "a.jsonl",
        {"id": "open", "text": "Same."},
        {"id": "closed", "text": "Same.", "access": ["hr", "legal"]},
        {"id": "closer", "text": "Same.", "access": "hr"},
    )
    (only,) = collect(tmp_path).documents
    assert (only.id, only.access) == ("open", ("hr",))


@pytest.mark.parametrize(
    "second",
    [
        {"id": "b", "text": "Same.", "access": "legal"},
        {"id": "a", "text": "Other.", "access": "legal"},
        {"id": "a", "text": "Other."},
    ],
)
def test_labels_that_contradict_each_other_leave_none_of_the_two(
    tmp_path: Path, second: dict[str, object]
) -> None:
    rows(
        tmp_path / "a.jsonl",
        {"id": "a", "text": "Same.", "access": "hr"},
        second,
        {"id": "c", "text": "Left."},
    )
    found = collect(tmp_path)
    assert [one.id for one in found.documents] == ["c"]
    assert {drop.code for drop in found.drops} == {"DOC-027"}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", b"caf\xe9", "DAT-026"),
        ("a.txt", b" ", "DAT-026"),
        ("a.pdf", a_scan(), "DAT-044"),
        ("a.txt", b"x" * 3_000, "DAT-040"),
        ("a.jsonl", b"", "DAT-002"),
    ],
)
def test_where_nothing_is_left_the_first_reason_is_the_error(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        collect(tmp_path, limits=SMALL)
    assert caught.value.problems[0].code == code
