"""HTML and SVG that cannot forget to escape: plain text becomes markup only through these functions.

A `Markup` is text that is already HTML; every other string is escaped when it becomes a child or an
attribute of an element. Characters that a reader cannot see, or that reorder what stands around
them (control characters, bidirectional overrides, lone surrogates), are written out as `⟨U+202E⟩`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape as _escape
from typing import TypeAlias

Attribute: TypeAlias = str | float | bool | None

_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:_-]*\Z")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\uffff\ud800-\udfff]"
)


class Markup(str):
    """Text that is HTML or SVG already, and is not escaped again."""

    __slots__ = ()


def visible(text: str) -> str:
    """Return `text` with every character that hides or reorders others written as its code point."""
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text)


def escape(text: str) -> Markup:
    """Return `text` as markup: hidden characters shown, special characters escaped."""
    if isinstance(text, Markup):
        return text
    return Markup(_escape(visible(text)))


def element(name: str, attributes: Mapping[str, Attribute] | None = None, *children: str) -> Markup:
    """Return one element. Children that are not `Markup` are escaped.

    An attribute that is None or False is left out; True stands without a value; a number is written
    with at most two decimals, so that drawings stay small and stable.

    Raises:
        ValueError: the name of the element or of an attribute is no name.
    """
    parts = [f"<{_checked(name)}"]
    for key, value in (attributes or {}).items():
        parts.append(_attribute(_checked(key), value))
    parts.append(">")
    if name not in _VOID:
        parts.extend(escape(child) for child in children)
        parts.append(f"</{name}>")
    return Markup("".join(parts))


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """Return the parts as one piece of markup; parts that are plain text are escaped."""
    return Markup(escape(separator).join(escape(part) for part in parts))


def number(value: float) -> str:
    """Return a number for an attribute: at most two decimals, no trailing zeros, no `-0`."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def shorten(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, with the number of characters left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is no name of an element or attribute")
    return name


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {key}"
    text = value if isinstance(value, str) else number(value)
    return f' {key}="{escape(text)}"'
