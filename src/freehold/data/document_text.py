"""Take the text out of HTML, Word and PDF files. Nothing is computed, fetched or unpacked to a disk.

What is left out: pictures, and the words in them; of Word, headers, footers, notes, comments and deleted
text; of HTML, scripts, styles and what stands in the head.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import IO
from xml.etree import ElementTree

from freehold.data.limits import LIMITS, MIB, Limits

LOCKED = "it is locked with a password"
A_SCAN = "its pages are pictures without text, as scanners make them"


class NoTextError(Exception):
    """The text of a document cannot be taken out; the message says why, `help` what to do."""

    def __init__(self, reason: str, *, help: str = "") -> None:
        super().__init__(reason)
        self.help = help


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a document, and the title that it gives itself, if any."""

    text: str
    title: str = ""


# HTML ----------------------------------------------------------------------------------------

_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE)
_UNSEEN = frozenset({"head", "script", "style", "template", "svg", "noscript"})
_HEADS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_LINES = frozenset({"br", "tr", "li", "dt", "dd", "option"})
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "body", "caption", "div", "dl", "fieldset"),
        *("figure", "figcaption", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header"),
        *("hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul"),
    }
)


def html_text(content: bytes, limits: Limits = LIMITS) -> Extracted:
    """Return the text of a page as its reader sees it: a line a line, an empty line between blocks.

    Headings are written as in Markdown, so that it is known what stands under them.

    The encoding is the one that the page names, else UTF-8.

    Raises:
        NoTextError: the page is not in the encoding that it names.
    """
    del limits
    parser = _PageText()
    parser.feed(_decoded(content))
    parser.close()
    return Extracted(text=parser.text(), title=" ".join("".join(parser.title).split()))


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        named = _CHARSET.search(content[:4096])
        encoding = named[1].decode("ascii") if named else "utf-8-sig"
        if encoding.casefold() in ("utf-8", "utf8", "utf-16", "utf-16le"):
            encoding = "utf-8-sig"  # a page that can be read so far is no UTF-16
    try:
        return content.decode(encoding)
    except LookupError as error:
        raise NoTextError(f"it names the encoding {encoding!r}, which is unknown") from error
    except UnicodeError as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        shown = encoding.replace("utf-8-sig", "UTF-8")
        raise NoTextError(f"it is not valid {shown}{at}") from error


class _PageText(HTMLParser):
    """Collects the text between tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._parts: list[str] = []
        self._unseen: list[str] = []
        self._is_title = False
        self._as_written = 0
        self._heading = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "body":
            self._unseen.clear()
        if tag in _UNSEEN:
            self._unseen.append(tag)
        self._is_title = tag == "title" and not self.title
        self._as_written += tag == "pre"
        self._break(tag)
        if tag in _HEADS:
            self._heading = int(tag[1])
        if tag in ("td", "th"):
            self._parts.append("\t")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        self._is_title = False
        self._as_written = max(0, self._as_written - (tag == "pre"))
        if tag in _HEADS:
            self._heading = 0
        if tag in _BLOCKS:
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self.title.append(data)
        elif not self._unseen:
            if self._heading and data.strip():
                self._parts.append("#" * self._heading + " ")
                self._heading = 0
            self._parts.append(data if self._as_written else re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._parts.append("\n\n")
        elif tag in _LINES:
            self._parts.append("\n")

    def text(self) -> str:
        """Return the collected text without empty space around lines and blocks."""
        lines = (line.strip(" ").replace("\t", " | ") for line in self._lines())
        text = "\n".join(re.sub(r"^ \| | {2,}", "", line).strip() for line in lines)
        return re.sub(r"\n{3,}", "\n\n", text).strip()

    def _lines(self) -> list[str]:
        return "".join(self._parts).split("\n")


# Word ----------------------------------------------------------------------------------------

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_COMPATIBLE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_LEFT_OUT = frozenset({"del", "moveFrom", f"{_COMPATIBLE}Fallback"})
_BODY = "word/document.xml"
_OLE_START = b"\xd0\xcf\x11\xe0"
_LARGEST_PART = 64 * MIB
_HEADING = re.compile(r"title|heading ?([1-6])")


def docx_text(content: bytes, limits: Limits = LIMITS) -> Extracted:
    """Return the paragraphs and tables of a Word file, in order; an empty line between them.

    Headings are written as in Markdown.

    Raises:
        NoTextError: it is no Word file, damaged, locked, or unpacks to more than a text can be.
    """
    if content.startswith(_OLE_START):
        raise NoTextError(f"{LOCKED}, or in the old format .doc", help="save it again as .docx")
    largest = min(_LARGEST_PART, limits.unpacked_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            body = archive.getinfo(_BODY)
            if body.flag_bits & 1:
                raise NoTextError(LOCKED, help="save it again without a password")
            if body.file_size > largest:
                raise NoTextError(
                    f"its text unpacks to {body.file_size:,} bytes; {largest:,} are the most"
                )
            with archive.open(body) as part:
                return _WordText().read(part)
    except KeyError as error:
        raise NoTextError("it is an archive, and no Word file") from error
    except (
        *(zipfile.BadZipFile, zlib.error, ElementTree.ParseError, EOFError, OSError),
        *(NotImplementedError, RuntimeError, ValueError, LookupError),
    ) as error:
        raise NoTextError(f"it is no Word file, or it is damaged ({error})") from error


@dataclass(slots=True)
class _WordText:
    """The text of the elements that were passed. What is open at the moment stands on `_open`."""

    title: str = ""
    _run: list[str] = field(default_factory=list[str])
    _open: list[list[str]] = field(default_factory=lambda: [[]])
    _skipped: int = 0
    _level: int = 0

    def read(self, part: IO[bytes]) -> Extracted:
        for event, element in ElementTree.iterparse(part, events=("start", "end")):
            name = element.tag.removeprefix(_WORD)
            if event == "start":
                self._start(name)
            else:
                self._end(name, element)
                element.clear()
        return Extracted(text="\n\n".join(self._open[0]).strip(), title=self.title)

    def _start(self, name: str) -> None:
        if name in _LEFT_OUT:
            self._skipped += 1
        elif name in ("tbl", "tr", "tc"):
            self._open.append([])

    def _end(self, name: str, element: ElementTree.Element) -> None:
        match name:
            case (
                "del"
                | "moveFrom"
                | "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
            ):
                self._skipped -= 1
            case "t" | "tab" | "br" | "cr":
                self._say(name, element)
            case "pStyle":
                style = _HEADING.fullmatch(element.get(f"{_WORD}val", "").casefold())
                self._level = int(style[1] or 1) if style else 0
            case "p":
                self._end_paragraph()
            case "tbl" | "tr" | "tc":
                between = {"tbl": "\n", "tr": " | ", "tc": " "}[name]
                whole = between.join(self._open.pop())
                if whole.strip(" |\n"):
                    self._open[-1].append(whole)
            case _:
                pass

    def _say(self, name: str, element: ElementTree.Element) -> None:
        if not self._skipped:
            self._run.append({"t": element.text or "", "tab": "\t"}.get(name, "\n"))

    def _end_paragraph(self) -> None:
        text = "".join(self._run).strip()
        self._run.clear()
        if text and self._level:
            text = " ".join(text.split())
            if self._level == 1 and not self.title:
                self.title = text
            text = f"{'#' * self._level} {text}"
        if text:
            self._open[-1].append(text)
        self._level = 0


# PDF -----------------------------------------------------------------------------------------


def pdf_text(content: bytes, limits: Limits = LIMITS) -> Extracted:
    """Return the text of a PDF, an empty line between its pages.

    Raises:
        NoTextError: it is locked, a scan without text, or damaged.
    """
    import pypdf  # here, because it is slow to load and seldom needed

    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise NoTextError(LOCKED, help="save it again without a password")
        pages: list[str] = []
        for page in reader.pages:
            pages.append(page.extract_text().strip())
            if sum(map(len, pages)) > limits.unpacked_bytes:
                raise NoTextError("its text is larger than a text can be")
        title = reader.metadata.title if reader.metadata else None
    except NoTextError:
        raise
    except Exception as error:
        name = type(error).__name__
        if name == "DependencyError":
            raise NoTextError(LOCKED, help="save it again without a password") from error
        raise NoTextError(f"it is no PDF, or it is damaged ({name})") from error
    if not any(pages):
        reason = A_SCAN if pages else "it has no pages"
        raise NoTextError(reason, help="give it a text layer first: ocrmypdf IN.pdf OUT.pdf")
    return Extracted(text=_sound("\n\n".join(page for page in pages if page)), title=_sound(title))


def _sound(text: object) -> str:
    """Return text without halves of characters, which broken fonts give."""
    return str(text or "").encode("utf-8", "replace").decode("utf-8")


EXTRACTORS: Mapping[str, Callable[[bytes, Limits], Extracted]] = {
    ".html": html_text,
    ".htm": html_text,
    ".docx": docx_text,
    ".pdf": pdf_text,
}
