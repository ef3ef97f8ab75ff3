# pyright: standard
"""Train a byte-level BPE tokenizer with the four role markers as single tokens, and describe it as transformers reads it.

Pieces never cross these borders: each digit is its own piece; in a run of capitals each capital is its own piece, so
that `GARDEN` is spelled; a capital starts a new piece, so that `LostCard` is `Lost` + `Card`; punctuation runs stand
apart from words. A word may carry the one space before it, a digit may not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydantic import JsonValue
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD: Final = "<|pad|>"
END: Final = "<|end|>"
SYSTEM: Final = "<|system|>"
USER: Final = "<|user|>"
ASSISTANT: Final = "<|assistant|>"
SPECIAL_TOKENS: Final = (PAD, END, SYSTEM, USER, ASSISTANT)

PIECES: Final = r" ?\p{Lu}(?=\p{Lu})| ?\p{Lu}?[\p{Ll}\p{Lt}\p{Lm}\p{Lo}\p{M}]+| ?\p{Lu}|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"

CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def special_id(tokenizer: Tokenizer, token: str) -> int:
    """Return the id of a special token.

    Raises:
        ValueError: the tokenizer has no such token.
    """
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ValueError(f"the tokenizer has no token {token}")
    return number


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> Tokenizer:
    """A byte-level BPE tokenizer of exactly or at most `vocabulary` tokens, the special ones first (ids 0 to 4)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tokenizer_config(*, context: int) -> dict[str, JsonValue]:
    """Return tokenizer_config.json: the special tokens' roles, the longest input and the chat template."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [SYSTEM, USER, ASSISTANT],
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "padding_side": "left",
        "chat_template": CHAT_TEMPLATE,
    }
