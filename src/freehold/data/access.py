"""Who may see a document: its labels, where they are written, and what two lists of them mean together.

A document without labels is seen by everybody. One with labels is seen by those who hold one of them. Where
several lists apply to one text, those labels count that stand in each of them: the stricter wins.

Labels stand in the `access` of a line of .jsonl, in the front matter of a text or Markdown file, or in a file
`.access` in a folder, one a line, for all documents in it and in the folders inside it. What is written and
cannot be understood is an error, so that no slip of the pen shows a document to everybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from freehold.core.errors import ConfigError, DataError, Where
from freehold.core.strict_yaml import read_yaml
from freehold.data.files import cannot_read

FOLDER_FILE = ".access"
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_SAYS_ACCESS = re.compile(r"^\s*[\"']?access\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Front:
    """A text without its front matter, and what that said."""

    text: str
    title: str = ""
    access: tuple[str, ...] = ()


def labels_in(value: JsonValue) -> tuple[str, ...] | None:
    """Return the labels of a list, or of a text with commas; null is no label. None: it is none of these."""
    if value is None:
        return ()
    labels = value.split(",") if isinstance(value, str) else value
    if not isinstance(labels, list) or not labels:
        return None
    texts = [label.strip() for label in labels if isinstance(label, str) and label.strip()]
    return tuple(sorted(set(texts))) if len(texts) == len(labels) else None


def front_matter(text: str, name: str) -> Front:
    """Return a text without the YAML between two lines `---` at its begin, with its `title` and `access`.

    Lines that are no YAML with keys are text like other text.

    Raises:
        DataError: it speaks of `access` and cannot be understood (DOC-003).
    """
    found = _FRONT.match(text)
    if found is None:
        return Front(text)
    try:
        values = read_yaml(found[1], file=name).values
    except ConfigError as error:
        if _SAYS_ACCESS.search(found[1]):
            raise _not_understood(name, error.problems[0].message) from error
        return Front(text)
    if not values:
        return Front(text)
    keys = [key for key in values if key.strip().casefold() == "access"]
    access = labels_in(values[keys[0]]) if keys else ()
    if len(keys) > 1 or access is None or (keys and not access):
        raise _not_understood(name, "`access` is neither a label nor a list of labels")
    title = values.get("title")
    return Front(text[found.end() :], title if isinstance(title, str) else "", access)


def folder_labels(folder: Path, root: Path) -> tuple[str, ...]:
    """Return the labels that the files `.access` of a folder and of those around it, up to `root`, name.

    Raises:
        DataError: one of them cannot be read or names no label (DAT-016, DOC-003), or two of them have none in
            common (DOC-002).
    """
    labels: tuple[str, ...] = ()
    above = [root, *(root / part for part in _parts_between(folder, root))]
    for one in above:
        file = one / FOLDER_FILE
        if file.is_file():
            own = _labels_of_file(file, file.relative_to(root).as_posix())
            labels = strictest(labels, own, of=("the folders above", str(file.relative_to(root))))
    return labels


def _parts_between(folder: Path, root: Path) -> list[Path]:
    parts = folder.relative_to(root).parts
    return [Path(*parts[:depth]) for depth in range(1, len(parts) + 1)]


def _labels_of_file(file: Path, name: str) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise cannot_read(name, error) from error
    except UnicodeDecodeError as error:
        raise _not_understood(name, "it is not valid UTF-8") from error
    written = (line.split("#", 1)[0] for line in lines)
    labels = labels_in([label for line in written for label in line.split(",") if label.strip()])
    if not labels:
        raise _not_understood(name, "it names no label")
    return labels


def _not_understood(name: str, reason: str) -> DataError:
    return DataError(
        "DOC-003",
        f"who may see `{name}` cannot be understood: {reason}",
        where=Where(file=name),
        help="write `access: [hr, legal]`, or take it out for what everybody may see",
    )


def strictest(one: Sequence[str], other: Sequence[str], *, of: tuple[str, str]) -> tuple[str, ...]:
    """Return the labels of a text that two lists apply to.

    Args:
        one: labels; empty: everybody.
        other: labels; empty: everybody.
        of: what each of them is said of.

    Raises:
        DataError: both name labels, and none in common (DOC-002).
    """
    if not one or not other:
        return tuple(sorted({*one, *other}))
    both = sorted(set(one) & set(other))
    if not both:
        first, second = of
        raise DataError(
            "DOC-002",
            f"`{first}` and `{second}` contradict each other: the same text is for"
            f" {', '.join(one)} in the one and for {', '.join(other)} in the other",
            help="give both a label in common, or take one of them out of the documents",
        )
    return tuple(both)
