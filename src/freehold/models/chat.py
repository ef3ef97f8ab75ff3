# pyright: standard
"""How messages become tokens, and what an answer is made of, for one tokenizer.

A prompt is rendered by the model's own chat template with the opening of the assistant's turn, and
its text is tokenized without adding anything. An answer is tokenized as it stands right after that
opening, so that training, scoring and generating all speak of the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, cast

from jinja2 import TemplateError

from freehold.core.errors import ModelError
from freehold.core.message import Message, assistant, system, user

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Plain text turns for models without a chat template. Each heading stands on its own line, so that an
# answer begins at a line start, where tokens do not run together with the heading. Line ends are
# written as expressions, because a template drops the line end that follows a block.
FALLBACK_TEMPLATE = (
    "{% for message in messages %}"
    "{{ message['role'] | capitalize + ':\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{{ '\\n\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
)
_MARK = "\u2603freehold\u2603"
_REMEMBERED_ANSWERS = 100_000


class ChatFormat:
    """Renders and tokenizes prompts and answers.

    Attributes:
        template_source: "model" where the tokenizer brings a chat template, else "fallback".
        end_id: the token that ends the assistant's turn.
        stop_ids: every token that ends generation; `end_id` is one of them.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, model_stop_ids: Sequence[int], where: str
    ) -> None:
        self.tokenizer = tokenizer
        self.template_source: Literal["model", "fallback"] = "model"
        if not tokenizer.chat_template:
            self.template_source = "fallback"
            tokenizer.chat_template = _bos(tokenizer) + FALLBACK_TEMPLATE
        self._takes_system = self._template_takes_system()
        self._opening = self._find_opening()
        self.end_id = self._find_end(model_stop_ids, where)
        own = [tokenizer.eos_token_id] if isinstance(tokenizer.eos_token_id, int) else []
        self.stop_ids = frozenset([self.end_id, *own, *model_stop_ids])
        self._remembered = lru_cache(maxsize=_REMEMBERED_ANSWERS)(self._tokenize_answer)

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt text, ending where the assistant's answer begins.

        A template that knows no system turn gets it as the first lines of the first user turn.
        Models that can think aloud are asked to answer at once (`enable_thinking=False`).

        Raises:
            ModelError: the template refuses these turns.
        """
        turns = messages if self._takes_system else _fold_system(messages)
        return self._apply(turns, opening=True)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of the rendered prompt."""
        return self.tokenize([self.render(messages)])[0]

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, adding nothing."""
        if not texts:
            return []
        found = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [list(ids) for ids in found["input_ids"]]

    def plain_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts that are no conversations, with the beginning that all texts get."""
        if not texts:
            return []
        first = self.tokenizer.bos_token
        begun = [isinstance(first, str) and text.startswith(first) for text in texts]
        found = self.tokenizer(list(texts), verbose=False)["input_ids"]
        bare = iter(self.tokenize([text for text, has in zip(texts, begun, strict=True) if has]))
        return [next(bare) if has else list(ids) for ids, has in zip(found, begun, strict=True)]

    @property
    def start_id(self) -> int:
        """The token before the first of a text: the one that begins texts, else `end_id`."""
        first = self.tokenizer.bos_token_id
        return first if isinstance(first, int) else self.end_id

    def answer_ids(self, text: str) -> tuple[int, ...]:
        """Return the tokens of an answer that follows a prompt, without `end_id`."""
        return self._remembered(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of answer tokens; special tokens are left out."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)

    def pieces(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return each token as text by itself, special tokens included."""
        return tuple(
            str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False)) for token in ids
        )

    def _apply(self, messages: Sequence[Message], *, opening: bool) -> str:
        turns = [{"role": turn.role, "content": turn.content} for turn in messages]
        try:
            text = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=opening, enable_thinking=False
            )
        except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            roles = ", ".join(turn.role for turn in messages) or "none"
            raise ModelError(
                "MDL-013",
                f"the model's chat template refuses turns in the order: {roles}",
                help="use turns that alternate between user and assistant and end with user",
                cause=(str(error),),
            ) from error
        return str(text)

    def _template_takes_system(self) -> bool:
        try:
            return _MARK in self._apply([system(_MARK), user("?")], opening=True)
        except ModelError:
            return False

    def _find_opening(self) -> str:
        closed = self._apply([user("?")], opening=False)
        opened = self._apply([user("?")], opening=True)
        return opened[len(closed) :] if opened.startswith(closed) else ""

    def _find_end(self, model_stop_ids: Sequence[int], where: str) -> int:
        text = self._apply([user("?"), assistant(_MARK)], opening=False)
        before, found, after = text.rpartition(_MARK)
        after_ids = self.tokenize([after])[0] if found and before else []
        added = cast("Callable[[], dict[str, int]]", self.tokenizer.get_added_vocab)()
        special = {*added.values(), *model_stop_ids}
        if after_ids and after_ids[0] in special:
            return after_ids[0]
        if isinstance(self.tokenizer.eos_token_id, int):
            return self.tokenizer.eos_token_id
        if model_stop_ids:
            return model_stop_ids[0]
        raise ModelError(
            "MDL-005",
            f"the tokenizer of {where} names no token that ends an answer",
            help='set "eos_token" in tokenizer_config.json',
        )

    def _tokenize_answer(self, text: str) -> tuple[int, ...]:
        alone, opening, both = self.tokenize([text, self._opening, self._opening + text])
        if both[: len(opening)] == opening:
            return tuple(both[len(opening) :])
        return tuple(alone)


def _bos(tokenizer: PreTrainedTokenizerBase) -> str:
    ids = tokenizer("a", add_special_tokens=True)["input_ids"]
    starts_with_bos = tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id
    return "{{ bos_token }}" if starts_with_bos else ""


def _fold_system(messages: Sequence[Message]) -> list[Message]:
    instructions = [turn.content for turn in messages if turn.role == "system"]
    others = [turn for turn in messages if turn.role != "system"]
    if not instructions:
        return others
    text = "\n\n".join(instructions)
    if not others or others[0].role != "user":
        return [user(text), *others]
    return [user(f"{text}\n\n{others[0].content}"), *others[1:]]
