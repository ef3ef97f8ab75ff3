# pyright: standard
"""Constrained decoding: which tokens may come next, for one answer in progress.

Labels are a trie of the tokens that an answer consists of, so an answer is complete as soon as one
label is left. A JSON schema is compiled by llguidance; white space is that of `json.dumps`, because a
weak model that may add white space can add it without end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from numpy.typing import NDArray
from pydantic import JsonValue

from freehold.core.errors import ModelError
from freehold.models.chat import ChatFormat

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions
    from transformers import PreTrainedTokenizerFast

_LIKE_JSON_DUMPS: JsonCompileOptions = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
}


class Guide(Protocol):
    """Follows one answer, token by token."""

    def allow(self, row: NDArray[np.bool_]) -> None:
        """Set `row[token]` for every token that may come next; it comes all False."""
        ...

    def take(self, token: int) -> tuple[int, ...] | None:
        """Follow `token`; return the tokens that complete the answer where that is settled, or None.

        An empty tuple means that the answer is complete with `token`.
        """
        ...


class GuideMaker(Protocol):
    """Makes a fresh guide for each answer."""

    def __call__(self) -> Guide:
        """Return a guide at the start of an answer."""
        ...


class LabelGuide:
    """Follows labels: `sequences` are their tokens, each ending with the token that ends the turn."""

    def __init__(self, sequences: Sequence[tuple[int, ...]]) -> None:
        self._left = sorted(set(sequences))
        self._done = 0

    def allow(self, row: NDArray[np.bool_]) -> None:
        """Allow the next token of every label that is left."""
        row[[sequence[self._done] for sequence in self._left]] = True

    def take(self, token: int) -> tuple[int, ...] | None:
        """Drop the labels that go on otherwise; one that is left alone completes the answer."""
        self._left = [sequence for sequence in self._left if sequence[self._done] == token]
        self._done += 1
        return self._left[0][self._done : -1] if len(self._left) == 1 else None


class SchemaGuide:
    """Follows a grammar that was compiled from a JSON schema."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._bits = np.zeros((vocabulary + 31) // 32, dtype=np.int32)

    def allow(self, row: NDArray[np.bool_]) -> None:
        """Allow what the grammar allows.

        Raises:
            RuntimeError: llguidance gave up on this answer (its own limits).
        """
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        bits = np.unpackbits(self._bits.view(np.uint8), bitorder="little")
        row[:] = bits[: len(row)]

    def take(self, token: int) -> tuple[int, ...] | None:
        """Follow `token`; complete when the grammar admits nothing more."""
        self._matcher.consume_token(token)
        self._check()
        return () if self._matcher.is_stopped() else None

    def _check(self) -> None:
        if self._matcher.is_error():
            raise RuntimeError(f"llguidance: {self._matcher.get_error()}")


def labels_guide(chat: ChatFormat, labels: Sequence[str]) -> GuideMaker:
    """Return the maker of guides to `labels`."""
    sequences = tuple((*chat.answer_ids(label), chat.end_id) for label in labels)
    return lambda: LabelGuide(sequences)


class SchemaGuides:
    """Compiles schemas for one tokenizer; reading the tokenizer takes a while and is done once."""

    def __init__(self, chat: ChatFormat, *, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._tokenizer = _read_tokenizer(chat, vocabulary)

    def guide(self, json_schema: dict[str, JsonValue]) -> GuideMaker:
        """Return the maker of guides to JSON that fits `json_schema`.

        Raises:
            ModelError: llguidance cannot enforce the schema.
        """
        text = json.dumps(json_schema)
        grammar = LLMatcher.grammar_from_json_schema(text, overrides=_LIKE_JSON_DUMPS)
        is_wrong, messages = LLMatcher.validate_grammar_with_warnings(grammar, self._tokenizer)
        if is_wrong:
            raise ModelError(
                "MDL-012",
                f"the JSON schema cannot be enforced while decoding: {messages[0]}",
                help="simplify the schema at that place, or leave the `structured` rung out",
            )
        first = LLMatcher(self._tokenizer, grammar, log_level=0)
        return lambda: SchemaGuide(first.deep_copy(), self._vocabulary)


def _read_tokenizer(chat: ChatFormat, vocabulary: int) -> LLTokenizer:
    try:
        return from_tokenizer(
            cast("PreTrainedTokenizerFast", chat.tokenizer),
            n_vocab=vocabulary,
            eos_token=sorted(chat.stop_ids),
            slices=None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            "MDL-005",
            "this model's tokenizer cannot be used for constrained decoding: it needs a tokenizer.json",
            help="use a model with a fast tokenizer, or leave the `structured` rung out",
            cause=(str(error),),
        ) from error
