from __future__ import annotations

from pathlib import Path

import pytest

from freehold.core.errors import DataError
from freehold.data.access import front_matter, labels_in, strictest
from freehold.data.collect import collect
from freehold.data.documents import read_documents


def test_labels_are_read_from_lines_front_matter_and_folders(tmp_path: Path) -> None:
    (tmp_path / "hr" / "board").mkdir(parents=True)
    (tmp_path / "hr" / ".access").write_text("# who\nhr, board\nlegal\n")
    (tmp_path / "hr" / "board" / ".access").write_text("board\n")
    (tmp_path / "hr" / "a.txt").write_text("for hr, board and legal")
    (tmp_path / "hr" / "b.md").write_text(
        "---\ntitle: Pay\naccess: [hr, it]\n---\n# Heading\n\nfor hr"
    )
    (tmp_path / "hr" / "board" / "c.txt").write_text("for the board")
    (tmp_path / "d.jsonl").write_text('{"text": "open"}\n{"text": "for it", "access": "it, hr"}\n')
    found = {one.id: one for one in read_documents(tmp_path)}
    assert found["hr/a.txt"].access == ("board", "hr", "legal")
    assert found["hr/b.md"].access == ("hr",)
    assert (found["hr/b.md"].title, found["hr/b.md"].text) == ("Pay", "# Heading\n\nfor hr")
    assert found["hr/board/c.txt"].access == ("board",)
    assert found["d.jsonl:1"].access == ()
    assert found["d.jsonl:2"].access == ("hr", "it")
    assert read_documents(tmp_path / "hr" / "a.txt")[0].access == ("board", "hr", "legal")


@pytest.mark.parametrize(
    "front",
    [
        *(
            "access: {hr: yes}",
            "access: []",
            "access:",
            "access: [hr, 5]",
            "Access: 7",
            "access: hr,,",
        ),
        *(
            "access: [hr",
            "access: hr\naccess: it",
            "access: hr\nACCESS: it",
            "a: b: c\n'access': x",
        ),
    ],
)
def test_labels_that_cannot_be_understood_hide_the_document(tmp_path: Path, front: str) -> None:
    (tmp_path / "a.md").write_text(f"---\n{front}\n---\nsecret")
    (tmp_path / "b.md").write_text("open")
    with pytest.raises(DataError, match="DOC-003"):
        read_documents(tmp_path)
    collection = collect(tmp_path)
    assert [one.id for one in collection.documents] == ["b.md"]
    assert "a.md" in collection.problems[0].message


@pytest.mark.parametrize("content", [b"", b"# nobody\n", b"\xff\xfe"])
def test_a_folder_whose_labels_cannot_be_read_is_hidden(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".access").write_bytes(content)
    (tmp_path / "a.txt").write_text("secret")
    with pytest.raises(DataError, match="DOC-003"):
        read_documents(tmp_path)


def test_a_document_and_its_folder_that_share_no_label_contradict_each_other(
    tmp_path: Path,
) -> None:
    (tmp_path / ".access").write_text("hr")
    (tmp_path / "a.md").write_text("---\naccess: it\n---\nsecret")
    with pytest.raises(DataError, match="DOC-002"):
        read_documents(tmp_path)


def test_lines_that_are_no_front_matter_are_text() -> None:
    for text in (
        "---\njust a line\n---\nmore",
        "text\n---\naccess: hr\n---\n",
        "---\nno: end\n",
        "---\n---\nx",
    ):
        assert front_matter(text, "a.md").text == text
        assert front_matter(text, "a.md").access == ()


def test_the_stricter_of_two_lists_counts() -> None:
    assert strictest((), (), of=("a", "b")) == ()
    assert strictest((), ("hr",), of=("a", "b")) == ("hr",)
    assert strictest(("it", "hr"), ("law", "it"), of=("a", "b")) == ("it",)
    assert labels_in(" hr ,it,hr") == ("hr", "it")
