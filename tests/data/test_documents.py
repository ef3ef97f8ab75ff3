from __future__ import annotations

from pathlib import Path

import pytest

from freehold.core.errors import DataError
from freehold.data.documents import Document, read_documents


def test_a_folder_of_texts_and_rows_is_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.md").write_text("# The title #\n\nText.\n", encoding="utf-8")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfplain")
    (tmp_path / "c.jsonl").write_text(
        '{"id": 5, "title": "T", "text": "one"}\n{"text": "two"}\n', encoding="utf-8"
    )
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "picture.png").write_bytes(b"\0")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text("not read")
    assert read_documents(tmp_path) == (
        Document(id="a.txt", title="a", text="plain"),
        Document(id="5", title="T", text="one"),
        Document(id="c.jsonl:2", title="", text="two"),
        Document(id="sub/b.md", title="The title", text="# The title #\n\nText.\n"),
    )
    assert read_documents(tmp_path / "a.txt")[0].text == "plain"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", b"caf\xe9", "DAT-026"),
        ("a.txt", b"", "DAT-026"),
        ("a.pdf", b"%PDF", "DAT-044"),
        ("a.rtf", b"text", "DAT-026"),
        ("a.jsonl", b'{"title": "no text"}', "DAT-026"),
        ("a.jsonl", b'{"text": "x", "id": []}', "DAT-026"),
        ("a.jsonl", b'{"text": "x", "id": 1}\n{"text": "y", "id": 1}', "DAT-026"),
        ("a.jsonl", b"nonsense", "DAT-026"),
        ("a.jsonl", b"", "DAT-002"),
    ],
)
def test_documents_that_cannot_be_used_are_refused(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_documents(tmp_path / name)
    assert caught.value.problems[0].code == code
    with pytest.raises(DataError, match="DAT-001"):
        read_documents(tmp_path / "absent")
