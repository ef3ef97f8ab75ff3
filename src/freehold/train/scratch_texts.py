"""Text for training from scratch: what is read from the user's files, and what the tokenizer learns from."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from freehold.core.errors import DataError
from freehold.data.procedural import FAMILIES, training_world

_SENTENCE = re.compile(r"[A-Z][A-Za-z ,.'?!-]+[.?!]")
_BYTES = 256
_MOST_ITEMS = 2500
_TEXT_STRIDE = 16
"""Of the texts, every 16th is shown whole to the tokenizer; their sentences all are."""


def read_texts(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the texts of files: a JSONL file has one in the `text` field of each row, any other file is one.

    Raises:
        DataError: a file is missing, is not UTF-8, or has a row without text.
    """
    texts: list[str] = []
    for path in paths:
        try:
            content = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise DataError("DAT-001", f"there is no text file {path}") from error
        except UnicodeDecodeError as error:
            raise DataError("DAT-003", f"{path} is not UTF-8 text") from error
        texts.extend(_rows(path, content) if path.suffix == ".jsonl" else [content])
    return tuple(texts)


def _rows(path: Path, content: str) -> Iterator[str]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield str(json.loads(line)["text"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(
                "DAT-026",
                f"row {number} of {path} is not a JSON object with a `text`",
                help="give a .txt file, or JSON lines with a `text` field",
            ) from error


def sentences_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the sentences of 4 to 18 plain words, in order, once each."""
    found: dict[str, None] = {}
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            for sentence in re.split(r"(?<=[.?!])\s+", " ".join(paragraph.split())):
                if 4 <= len(sentence.split()) <= 18 and _SENTENCE.fullmatch(sentence):
                    found[sentence] = None
    return tuple(found)


def tokenizer_texts(seed: int, texts: Sequence[str], *, vocabulary: int) -> Iterator[str]:
    """Yield what a tokenizer is trained on: training items of all families, and the text as it is and lower-cased.

    Two items of each family for every token that is to be learnt, at most 2,500.
    """
    rng = random.Random(f"{seed}/tokenizer")
    sentences = sentences_of(texts)
    world = training_world(sentences)
    for _ in range(min(_MOST_ITEMS, 2 * (vocabulary - _BYTES))):
        for family in FAMILIES.values():
            item = family(rng, world)
            yield from (content for _, content in item.messages)
            yield item.answer
    yield from texts[::_TEXT_STRIDE]
    for sentence in sentences:
        yield sentence
        yield sentence.lower()
