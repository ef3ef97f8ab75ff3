"""The same input in other words: small changes that keep the meaning, the same ones every time.

They are what two people who ask the same thing do differently: a greeting, a full stop, a capital, a
space. A candidate whose answer depends on them does not know the answer. They are not paraphrases: no
word of the input is replaced, so that nobody need check that it still means the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

from freehold.core.snapshot import Example

GREETING = "Hello. "
_CLOSING = (".", "!", "?", "…")


def _greeted(text: str) -> str:
    return GREETING + text


def _closed(text: str) -> str:
    """Take the closing mark away, or add a full stop where there is none."""
    bare = text.rstrip()
    return bare[:-1] if bare.endswith(_CLOSING) else f"{bare}."


def _cased(text: str) -> str:
    """Change the case of the first letter, unless the first word is written in capitals."""
    first = text.split(maxsplit=1)[0] if text.split() else ""
    if len(first) > 1 and not first[1:].islower():
        return text
    return text[:1].swapcase() + text[1:]


def _spaced(text: str) -> str:
    """Double the first space, and add one at the end; text in lines or columns is left as it is."""
    if "\n" in text or "\t" in text or "  " in text:
        return text
    return text.replace(" ", "  ", 1) + " "


REWORDINGS: Mapping[str, Callable[[str], str]] = {
    "greeting": _greeted,
    "punctuation": _closed,
    "case": _cased,
    "spacing": _spaced,
}


def reworded(example: Example, *, count: int = 2) -> tuple[Example, ...]:
    """Return the example in at most `count` other wordings; each has an id of its own, `e7~case`.

    Which ones is decided by the example's id, so that over many examples each kind has its turn.
    """
    names = list(REWORDINGS)
    start = zlib.crc32(example.id.encode("utf-8", "surrogatepass")) % len(names)
    found: dict[str, Example] = {}
    for name in (*names[start:], *names[:start]):
        text = REWORDINGS[name](example.input)
        if text.strip() and text != example.input and text not in found:
            found[text] = example.model_copy(update={"id": f"{example.id}~{name}", "input": text})
    return tuple(found.values())[:count]


def row_id(example_id: str) -> str:
    """Return the id of the example that a rewording was made of; of any other example its own."""
    own, tilde, name = example_id.rpartition("~")
    return own if tilde and name in REWORDINGS else example_id
