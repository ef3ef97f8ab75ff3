"""Text out of HTML, Word and PDF files, made here with the tools that people make them with."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import docx
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import DataError
from freehold.data.document_text import (
    Extracted,
    NoTextError,
    docx_text,
    html_text,
    pdf_text,
)
from freehold.data.documents import read_documents
from freehold.data.limits import Limits

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def a_pdf(pages: Sequence[str], *, picture: bool = False) -> bytes:
    """Return a PDF with one line of text a page (or a picture of one grey point), written by hand."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    points = zlib.compress(b"\x80")
    objects.append(
        b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray"
        b" /BitsPerComponent 8 /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream"
        % (len(points), points)
    )
    kids: list[bytes] = []
    for text in pages:
        shown = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        drawn = f"BT /F1 12 Tf 72 700 Td ({shown}) Tj ET" if not picture else "/Im1 Do"
        stream = drawn.encode("latin-1")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> /XObject << /Im1 4 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    out, places = io.BytesIO(), list[int]()
    out.write(b"%PDF-1.4\n")
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    at = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\n" % (len(objects) + 1))
    out.write(b"startxref\n%d\n%%%%EOF\n" % at)
    return out.getvalue()


def a_docx(body: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml", f"<w:document {WORD}><w:body>{body}</w:body></w:document>"
        )
    return out.getvalue()


# PDF -----------------------------------------------------------------------------------------


def test_the_pages_of_a_pdf_are_read_in_order() -> None:
    found = pdf_text(a_pdf(["How long is the warranty?", "Two years (24 months)."]))
    assert found == Extracted("How long is the warranty?\n\nTwo years (24 months).")


def test_a_scan_says_that_it_is_one() -> None:
    with pytest.raises(NoTextError, match="pictures without text") as caught:
        pdf_text(a_pdf(["", ""], picture=True))
    assert "ocrmypdf" in caught.value.help


def test_a_locked_pdf_says_that_it_is_locked() -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(a_pdf(["secret"])))
    writer.encrypt("a password", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(NoTextError, match="locked with a password"):
        pdf_text(out.getvalue())


def test_a_pdf_that_only_its_owner_may_print_is_read() -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(a_pdf(["open to all"])))
    writer.encrypt("", owner_password="owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    assert pdf_text(out.getvalue()).text == "open to all"


# Word ----------------------------------------------------------------------------------------


def test_a_word_file_is_read_with_its_tables_links_and_title(tmp_path: Path) -> None:
    made = docx.Document()
    made.add_heading("Returns", level=1)
    made.add_paragraph("Send it back within 30 days.")
    table = made.add_table(rows=2, cols=2)
    for number, text in enumerate(["country", "days", "Finland", "30"]):
        table.cell(number // 2, number % 2).text = text
    last = made.add_paragraph("A tab")
    last.add_run("\there\nand a line.")
    made.save(str(tmp_path / "returns.docx"))
    (found,) = read_documents(tmp_path)
    assert found.title == "Returns"
    assert found.text.split("\n\n") == [
        "# Returns",
        "Send it back within 30 days.",
        "country | days\nFinland | 30",
        "A tab\there\nand a line.",
    ]


@settings(max_examples=15)
@given(
    st.lists(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20), min_size=1
    )
)
def test_every_paragraph_that_another_library_wrote_is_read(paragraphs: list[str]) -> None:
    made = docx.Document()
    for text in paragraphs:
        made.add_paragraph(text)
    out = io.BytesIO()
    made.save(out)
    assert docx_text(out.getvalue()).text.split("\n\n") == paragraphs


def test_deleted_text_and_doubled_boxes_are_left_out() -> None:
    body = (
        "<w:p><w:r><w:t>kept</w:t></w:r><w:del><w:r><w:t>gone</w:t></w:r></w:del></w:p>"
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        "<mc:Choice><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Choice>"
        "<mc:Fallback><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>"
    )
    assert docx_text(a_docx(body)).text == "kept\n\nbox"


def test_members_with_paths_outside_are_never_written(tmp_path: Path) -> None:
    whole = io.BytesIO(a_docx("<w:p><w:r><w:t>text</w:t></w:r></w:p>"))
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("../../outside.txt", "evil")
        archive.writestr("/outside.txt", "evil")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "x.docx").write_bytes(whole.getvalue())
    assert read_documents(folder)[0].text == "text"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "b", "x.docx"]


def test_a_word_file_that_unpacks_to_far_too_much_is_refused() -> None:
    bomb = a_docx("<w:p/>" * 100_000)
    with pytest.raises(NoTextError, match="unpacks to"):
        docx_text(bomb, Limits(unpacked_bytes=100_000))
    # the archive may lie about the size: no more than it says is unpacked
    start = bomb.rindex(b"PK\x01\x02")
    lying = bomb[: start + 24] + struct.pack("<I", 50) + bomb[start + 28 :]
    with pytest.raises(NoTextError, match="damaged"):
        docx_text(lying, Limits(unpacked_bytes=100_000))


def test_entities_that_grow_without_end_and_outside_ones_are_refused() -> None:
    grows = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {after} "{f"&{before};" * 10}">'
        for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for head, entity in (
        (f"{grows}]>", "&i;"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "/etc/hosts">]>', "&e;"),
    ):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            text = (
                f"{head}<w:document {WORD}><w:p><w:r><w:t>{entity}</w:t></w:r></w:p></w:document>"
            )
            archive.writestr("word/document.xml", text)
        with pytest.raises(NoTextError, match="damaged"):
            docx_text(out.getvalue())


def test_word_files_nested_very_deep_are_read() -> None:
    deep = "<w:p>" * 20_000 + "<w:r><w:t>x</w:t></w:r>" + "</w:p>" * 20_000
    assert docx_text(a_docx(deep)).text == "x"


# HTML ----------------------------------------------------------------------------------------


def test_a_page_is_read_as_its_reader_sees_it() -> None:
    page = """<!doctype html><html><head><title> The   shop </title><style>p { color: red }</style></head>
    <body><script>alert("no")</script><h1>Returns</h1><p>Within   30 days,
    <b>unused</b> &amp; boxed.</p><ul><li>one</li><li>two</li></ul>
    <table><tr><th>country</th><th>days</th></tr><tr><td>Finland</td><td>30</td></tr></table>
    <pre>a
  b</pre><svg><text>no</text></svg>last</body></html>"""
    found = html_text(page.encode())
    assert found.title == "The shop"
    assert found.text.split("\n\n") == [
        "# Returns",
        "Within 30 days, unused & boxed.",
        "one\ntwo",
        "country | days\nFinland | 30",
        "a\nb",
        "last",
    ]


def test_headings_of_a_page_keep_their_level_and_empty_ones_are_left_out() -> None:
    page = "<h1>Fees</h1><p>All.<h2> <a href=x>For <b>transfers</b></a></h2>Two euros.<h3></h3><h3> </h3>end"
    found = html_text(page.encode())
    assert found.text == "# Fees\n\nAll.\n\n## For transfers\n\nTwo euros.\n\nend"


def test_a_page_may_name_its_encoding() -> None:
    named = '<meta charset="iso-8859-1"><p>Grüße</p>'.encode("iso-8859-1")
    older = b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1252"><p>\x80'
    assert html_text(named).text == "Grüße"
    assert html_text(older).text == "€"
    assert html_text("<p>Grüße".encode("utf-16")).text == "Grüße"
    for wrong in (
        "<p>Grüße".encode("latin-1"),
        b'<meta charset="none-such"><p>x',
        b"<meta charset=hex>",
    ):
        with pytest.raises(NoTextError, match=r"encoding|UTF-8"):
            html_text(wrong)


@given(st.text(max_size=200))
def test_any_text_is_a_page(page: str) -> None:
    html_text(page.encode("utf-8", "replace"))


# Files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.pdf", b"%PDF-1.4", "damaged"),
        ("a.pdf", a_pdf([], picture=True), "no pages"),
        ("a.docx", b"PK\x03\x04", "damaged"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "locked"),
        ("a.docx", a_docx("<w:p>"), "damaged"),
        ("a.html", b"caf\xe9", "UTF-8"),
    ],
)
def test_a_document_whose_text_cannot_be_read_says_why(
    tmp_path: Path, name: str, content: bytes, word: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="DAT-044") as caught:
        read_documents(tmp_path)
    assert word in caught.value.problems[0].message
    assert caught.value.problems[0].help


def test_a_folder_of_all_types_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(a_pdf(["one"]))
    (tmp_path / "b.docx").write_bytes(a_docx("<w:p><w:r><w:t>two</w:t></w:r></w:p>"))
    (tmp_path / "c.htm").write_text("<title>Third</title><p>three")
    (tmp_path / "d.md").write_text("# Fourth\n\nfour")
    found = [(d.id, d.title, d.text) for d in read_documents(tmp_path)]
    assert found == [
        ("a.pdf", "a", "one"),
        ("b.docx", "b", "two"),
        ("c.htm", "Third", "three"),
        ("d.md", "Fourth", "# Fourth\n\nfour"),
    ]
