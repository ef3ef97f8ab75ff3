# pyright: standard
"""Replay without anyone's data: prompts that the base brought or asks itself, with its own answers.

An aligned model that is given nothing but the opening of a turn writes what such turns looked like in
its own training (Xu et al. 2024, arXiv:2406.08464). The conversations are filtered and answered by the
base: the general ability that training must not move (Huang et al. 2024, arXiv:2403.01244). A pool
belongs to a base and serves every task; each task leaves out what resembles its own held-out items.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from freehold.core.errors import ModelError
from freehold.core.message import Message, assistant, system, user
from freehold.core.outcome import Failed
from freehold.core.record import Record, digest_bytes, digest_json
from freehold.models.chat import ChatFormat
from freehold.models.door import Generation
from freehold.models.local import LocalModel
from freehold.models.sample import Sampling, sample
from freehold.train.checkpoint import write_whole
from freehold.train.rows import TrainingRow

OnProgress: TypeAlias = Callable[[int, int], None]

PROMPTS_FILE = "replay_prompts.jsonl"

FORMAT = 1
"""Raised when the same base and settings begin to give another pool."""

_MARK = "\u2603mark\u2603"
_TURN_TOKENS = 160
_CONTEXT_SHARE = 0.5
_MOST_TURNS = 9
_REPEATED_SHARE = 0.4
_NGRAM = 3
_ROUNDS = 6


class PoolSpec(Record):
    """What a pool is made by. `system_share` of the conversations begin with a system turn.

    Every further exchange is added with the probability `more_turns`: examples in a prompt are part of
    general ability.
    """

    prompts: int
    seed: int = 7
    system_share: float = 0.5
    more_turns: float = 0.6
    temperature: float = 1.0


class Pool(Record):
    """Conversations that the base led with itself; `answer` is its own to the last prompt.

    `dropped` counts what was drawn and left out, by reason.
    """

    rows: tuple[TrainingRow, ...]
    dropped: dict[str, int]


def pool_key(base: LocalModel, spec: PoolSpec) -> str:
    """Return the name of a pool: weights, chat template and tokenizer (the base's digest), settings.

    The prompts that the base brings are part of it.
    """
    file = base.files.folder / PROMPTS_FILE
    brought = digest_bytes(file.read_bytes()) if file.is_file() else None
    return digest_json("replay pool", [base.digest, spec.to_json(), brought, FORMAT])


def replay_pool(
    base: LocalModel,
    spec: PoolSpec,
    *,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Pool:
    """Return the prompts that the base brought with it, as it answers them; the rest it asks itself.

    A base that was trained here knows what it was trained on, and leaves prompts of that kind in its
    folder (`PROMPTS_FILE`): they speak of its abilities better than what a small model makes up.

    Args:
        base: untrained, as it will be compared with.
        spec: how many, and how they are drawn.
        on_progress: is told how many are there, of how many.

    Raises:
        ModelError: prompts are wanting, and the base's chat template has no turn that can be opened.
    """
    wanted = spec.prompts
    brought = _answered(
        base,
        brought_prompts(base.files.folder)[:wanted],
        on_kept=lambda done: on_progress(done, wanted),
    )
    left = wanted - len(brought)
    if left <= 0:
        return Pool(rows=brought, dropped={})
    asked = self_prompts(
        base,
        spec.model_copy(update={"prompts": left}),
        on_progress=lambda done, _left: on_progress(len(brought) + done, wanted),
    )
    return asked.model_copy(update={"rows": (*brought, *asked.rows)})


def brought_prompts(folder: Path) -> tuple[tuple[Message, ...], ...]:
    """Return the general prompts in a model's folder; none where it brings no such file."""
    file = folder / PROMPTS_FILE
    if not file.is_file():
        return ()
    # not splitlines, which also splits at line separators inside a text
    lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line]
    return tuple(
        tuple(Message.model_validate(turn, strict=False) for turn in json.loads(line)["messages"])
        for line in lines
    )


def write_prompts(prompts: Sequence[Sequence[Message]], folder: Path) -> None:
    """Write general prompts beside a model's weights, one JSON object a line."""
    lines = [
        json.dumps({"messages": [turn.to_json() for turn in prompt]}, ensure_ascii=False)
        for prompt in prompts
    ]
    write_whole(folder / PROMPTS_FILE, ("\n".join(lines) + "\n").encode())


def _answered(
    base: LocalModel,
    prompts: Sequence[tuple[Message, ...]],
    *,
    on_kept: Callable[[int], None],
) -> tuple[TrainingRow, ...]:
    """Return the prompts with the answers that are kept; `on_kept` is told how many there are so far."""
    kept: dict[int, TrainingRow] = {}

    def take(place: int, answer: Generation | Failed) -> None:
        if isinstance(answer, Generation) and answer.text and not answer.truncated:
            kept[place] = TrainingRow(prompt=prompts[place], answer=answer.text)
            on_kept(len(kept))

    if prompts:
        base.generate(prompts, max_tokens=_TURN_TOKENS, on_answer=take)
    return tuple(kept[place] for place in sorted(kept))


def self_prompts(
    base: LocalModel,
    spec: PoolSpec,
    *,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Pool:
    """Return up to `spec.prompts` conversations, fewer where the base repeats itself.

    Args:
        base: untrained, as it will be compared with.
        spec: how many, and how they are drawn.
        on_progress: is told how many are found, of how many.

    Raises:
        ModelError: the base's chat template has no turn that can be opened.
    """
    openings = _openings(base.loaded.chat)
    wanted, rows, dropped = spec.prompts, list[TrainingRow](), Counter[str]()
    seen: set[str] = set()
    for attempt in range(_ROUNDS):
        if len(rows) >= wanted:
            break
        count = min(wanted, 2 * (wanted - len(rows)) + 8)
        for row in _draw(base, openings, spec, count=count, attempt=attempt, dropped=dropped):
            reason = _refusal(row, seen)
            if reason is not None:
                dropped[reason] += 1
            elif len(rows) < wanted:
                rows.append(row)
        on_progress(len(rows), wanted)
    return Pool(rows=tuple(rows), dropped=dict(dropped))


@dataclass(frozen=True)
class _Openings:
    """Template text around turns: before a first system or user turn, and between two turns."""

    first_system: str | None
    first_user: str
    system_to_user: str
    user_to_assistant: str
    assistant_to_user: str


def _openings(chat: ChatFormat) -> _Openings:
    alone = chat.render((user(_MARK),)).split(_MARK)
    if len(alone) != 2:
        raise ModelError(
            "TRN-007",
            "the base's chat template does not show a user turn as it is written, so the base cannot"
            " prompt itself",
            help="set ladder.lora.retention.replay to 0, or use a base with a plain chat template",
        )
    first, second, third = "1" + _MARK, "2" + _MARK, "3" + _MARK
    text = chat.render((user(first), assistant(second), user(third)))
    between = text.split(second)[1].split(third)[0] if second in text else alone[0]
    first_system, to_user = None, alone[0]
    try:
        text = chat.render((system(first), user(second)))
        before, _, rest = text.partition(first)
        has_own_turn = rest and before != alone[0]
        if has_own_turn:
            first_system, to_user = before, rest.split(second)[0]
    except ModelError:
        first_system = None
    return _Openings(first_system, alone[0], to_user, alone[1], between)


@dataclass
class _Talk:
    """A conversation under way: its tokens, its turns, and how many exchanges it gets."""

    ids: list[int]
    exchanges: int
    turns: list[Message] = field(default_factory=list[Message])
    is_open: bool = True


def _draw(
    base: LocalModel,
    openings: _Openings,
    spec: PoolSpec,
    *,
    count: int,
    attempt: int,
    dropped: Counter[str],
) -> list[TrainingRow]:
    """Lead `count` conversations side by side, one turn of all of them at a time."""
    chat = base.loaded.chat
    talks, with_system = _planned(openings, spec, count=count, attempt=attempt)
    writer = _Writer(base, spec, attempt)
    if openings.first_system is not None and with_system:
        for talk in with_system:
            talk.ids += chat.tokenize([openings.first_system])[0]
        writer.write(with_system, "system", dropped)
    started = {id(talk) for talk in with_system}
    for talk in talks:
        opening = openings.system_to_user if id(talk) in started else openings.first_user
        talk.ids += chat.tokenize([opening])[0] if opening else []
    to_assistant, to_user = chat.tokenize([openings.user_to_assistant, openings.assistant_to_user])
    for exchange in range(max(talk.exchanges for talk in talks)):
        going = [talk for talk in talks if talk.is_open and talk.exchanges > exchange]
        for role, opening in (("user", to_user if exchange else []), ("assistant", to_assistant)):
            going = [talk for talk in going if talk.is_open]
            for talk in going:
                talk.ids += opening
            writer.write(going, role, dropped)
    return [_row(talk) for talk in talks if talk.is_open]


def _planned(
    openings: _Openings, spec: PoolSpec, *, count: int, attempt: int
) -> tuple[list[_Talk], list[_Talk]]:
    """Return conversations with their number of exchanges, and those that begin with a system turn."""
    rng = random.Random(f"replay/{spec.seed}/{attempt}")
    talks: list[_Talk] = []
    with_system: list[_Talk] = []
    for _ in range(count):
        exchanges = 1
        while exchanges < _MOST_TURNS and rng.random() < spec.more_turns:
            exchanges += 1
        talk = _Talk([], exchanges)
        talks.append(talk)
        if openings.first_system is not None and rng.random() < spec.system_share:
            with_system.append(talk)
    return talks, with_system


def _row(talk: _Talk) -> TrainingRow:
    return TrainingRow(prompt=tuple(talk.turns[:-1]), answer=talk.turns[-1].content)


class _Writer:
    """Writes the next turn of many conversations at once."""

    def __init__(self, base: LocalModel, spec: PoolSpec, attempt: int) -> None:
        self._base = base
        self._spec = spec
        self._seed = int(
            digest_json("replay", [spec.seed, attempt]).removeprefix("sha256:")[:8], 16
        )
        self._calls = 0

    def write(self, talks: Sequence[_Talk], role: str, dropped: Counter[str]) -> None:
        if not talks:
            return
        self._calls += 1
        chat = self._base.loaded.chat
        how = Sampling(
            max_tokens=_TURN_TOKENS,
            stop_ids=chat.stop_ids,
            temperature=0.0 if role == "assistant" else self._spec.temperature,
        )
        drawn = sample(
            self._base.loaded.network,
            [talk.ids for talk in talks],
            how,
            seed=self._seed + self._calls,
        )
        most = int(_CONTEXT_SHARE * self._base.context_tokens)
        for talk, found in zip(talks, drawn, strict=True):
            text = chat.decode(found.ids).strip()
            reason = _unusable(text, len(talk.ids) + len(found.ids), most, is_whole=found.is_whole)
            if reason is not None:
                talk.is_open = False
                dropped[reason] += 1
                continue
            talk.ids += found.ids
            talk.turns.append(Message(role=role, content=text))  # pyright: ignore[reportArgumentType]


def _unusable(text: str, tokens: int, most: int, *, is_whole: bool) -> str | None:
    if not is_whole:
        return f"a turn did not end within {_TURN_TOKENS} tokens"
    if not text:
        return "a turn is empty"
    if tokens > most:
        return "longer than half of the context"
    return None


def _refusal(row: TrainingRow, seen: set[str]) -> str | None:
    """Return why a conversation is left out, None where it is kept; `seen` gets its text."""
    text = prompt_text(row)
    plain = re.sub(r"\W+", " ", text.casefold()).strip()
    if plain in seen:
        return "a duplicate"
    seen.add(plain)
    if _repeats(plain.split()) or _repeats(row.answer.casefold().split()):
        return "repeats itself"
    return None


def prompt_text(row: TrainingRow) -> str:
    """Return everything that a row is asked, for comparing it with held-out items."""
    return "\n".join(turn.content for turn in row.prompt)


def _repeats(words: Sequence[str]) -> bool:
    """Tell whether too many of the word trigrams are repeats of earlier ones."""
    grams = [tuple(words[i : i + _NGRAM]) for i in range(len(words) - _NGRAM + 1)]
    if len(grams) < 2 * _NGRAM:
        return False
    return 1 - len(set(grams)) / len(grams) > _REPEATED_SHARE
