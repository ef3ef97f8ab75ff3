# pyright: standard
"""Lessons from preferences: pairs of a better and a worse answer, or answers that were judged.

Log-probabilities under the untouched base are computed here, once, so that training needs no second
model and no second pass.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
from pydantic import JsonValue
from torch import Tensor

from freehold.core.errors import DataError
from freehold.core.preference import JudgedAnswer, Preference, PreferencePair
from freehold.core.record import digest_json
from freehold.core.sections import PreferSpec
from freehold.core.snapshot import Drop
from freehold.models.local import LocalModel
from freehold.models.network import Network
from freehold.train.answers import (
    AnswersRow,
    collate_answers,
    encode_answer,
    encode_prompts,
    passed_tokens,
    reference_logprobs,
    row_tokens,
)
from freehold.train.batching import Indices
from freehold.train.objectives import AnswersBatch, Dpo, Kto, Objective, Orpo, Simpo

Method: TypeAlias = Literal["dpo", "orpo", "kto", "simpo"]

BETAS: Mapping[Method, float] = {"dpo": 0.1, "orpo": 0.1, "kto": 0.1, "simpo": 2.5}
"""What `beta` is where the spec leaves it out: the settings of the papers."""
REFERENCE_TOKENS = 4096
FORMAT = 1
"""Raised when the same rows and settings begin to give another loss."""

_SAME = "chosen and rejected are the same"
_NO_OTHER = "no answer to another prompt fits behind this one"


@dataclass(frozen=True)
class PreferenceLesson:
    """Twos of answers, what the base says of them, and the objective; see `preference_lesson`."""

    name: str
    digest: str
    objective: Objective[Any]
    dropped: tuple[Drop, ...]
    network: Network
    rows: tuple[AnswersRow, ...]
    names: tuple[str, ...]
    reference: Tensor | None
    is_good: Tensor | None

    @property
    def lengths(self) -> tuple[int, ...]:
        """The tokens that each two costs: its prompt counts once where the network can share it."""
        return tuple(row_tokens(row, self.network) for row in self.rows)

    @property
    def loss_tokens(self) -> int:
        """How many positions carry loss."""
        return sum(row.answer_tokens for row in self.rows)

    def passed_tokens(self, indices: Indices) -> int:
        """Return the tokens that pass the model when these rows are one batch."""
        return passed_tokens([self.rows[i] for i in indices], self.network)

    def batch(self, indices: Indices, *, step: int) -> AnswersBatch:
        """Return these twos as one batch; nothing is drawn, so every step gives the same."""
        del step
        places, device = list(indices), self.network.device
        plain = collate_answers(
            [self.rows[i] for i in places], [self.names[i] for i in places], self.network
        )
        reference_S = None if self.reference is None else self.reference[places].flatten()
        is_good_P = None if self.is_good is None else self.is_good[places].to(device)
        return replace(plain, reference_S=reference_S, is_good_P=is_good_P)


def preference_lesson(
    preferences: Sequence[Preference], *, base: LocalModel, spec: PreferSpec
) -> PreferenceLesson:
    """Return the lesson of `spec.method` over pairs or, for `kto` alone, judged answers.

    Rows that cannot be used are left out and counted, never cut. Pairs are taken apart for `kto`.

    Args:
        preferences: what to learn from.
        base: the model as it is before training, which is also the reference.
        spec: the method, beta, the weight of cross-entropy, the longest row.

    Raises:
        DataError: no row is left; the method needs pairs and got judged answers; or `kto` has only good
            or only bad answers.
        ModelError: the chat template refuses the turns of a prompt.
    """
    if spec.method == "kto":
        found = _judged(preferences, base=base, spec=spec)
    else:
        found = _pairs(preferences, base=base, spec=spec)
    if not found.rows:
        raise _nothing_left(len(preferences), found.dropped)
    objective = _objective(spec, found.is_good)
    network = base.loaded.network
    reference = None
    if spec.method in ("dpo", "kto"):
        reference = reference_logprobs(network, found.rows, batch_tokens=REFERENCE_TOKENS)
    content: list[JsonValue] = [[[*row.prompt], *([*a] for a in row.answers)] for row in found.rows]
    return PreferenceLesson(
        name=spec.method,
        digest=digest_json(
            "preference lesson",
            [FORMAT, str(objective), base.digest, content, [*found.is_good]],
        ),
        objective=objective,
        dropped=found.dropped,
        network=network,
        rows=found.rows,
        names=found.names,
        reference=reference,
        is_good=torch.tensor(found.is_good) if found.is_good else None,
    )


@dataclass(frozen=True)
class _Found:
    """The twos that can be used, their names for messages, judgements, and what was left out."""

    rows: tuple[AnswersRow, ...]
    names: tuple[str, ...]
    dropped: tuple[Drop, ...]
    is_good: tuple[bool, ...] = ()


def _objective(spec: PreferSpec, is_good: Sequence[bool]) -> Objective[Any]:
    beta = BETAS[spec.method] if spec.beta is None else spec.beta
    match spec.method:
        case "dpo":
            return Dpo(beta=beta, sft_weight=spec.sft_weight)
        case "orpo":
            return Orpo(beta=beta, sft_weight=spec.sft_weight)
        case "simpo":
            return Simpo(beta=beta, sft_weight=spec.sft_weight)
        case "kto":
            weights = _balance(sum(is_good), len(is_good) - sum(is_good))
            return Kto(beta=beta, weights=weights, sft_weight=spec.sft_weight)


def _balance(good: int, bad: int) -> tuple[float, float]:
    """Return weights of good and bad answers, the rarer kind raised until both weigh the same."""
    return max(1.0, bad / good), max(1.0, good / bad)


def _pairs(preferences: Sequence[Preference], *, base: LocalModel, spec: PreferSpec) -> _Found:
    pairs = [one for one in preferences if isinstance(one, PreferencePair)]
    if len(pairs) < len(preferences):
        raise DataError(
            "TRN-021",
            f"{spec.method} compares two answers to one prompt, and {len(preferences) - len(pairs)} of"
            f" {len(preferences)} rows hold one judged answer",
            help="freehold climb -s ladder.prefer.method=kto",
        )
    chat, most = base.loaded.chat, _most_tokens(base, spec)
    rows: list[AnswersRow] = []
    names: list[str] = []
    dropped: list[Drop] = []
    prompts = encode_prompts(chat, [pair.prompt for pair in pairs])
    for number, (pair, prompt) in enumerate(zip(pairs, prompts, strict=True), 1):
        answers = (encode_answer(chat, pair.chosen), encode_answer(chat, pair.rejected))
        row = AnswersRow(prompt, answers)
        reason = _SAME if answers[0] == answers[1] else _unusable(row, most)
        if reason is None:
            rows.append(row)
            names.append(_name(pair, number))
        else:
            dropped.append(_drop(pair, number, reason))
    return _Found(tuple(rows), tuple(names), tuple(dropped))


def _judged(preferences: Sequence[Preference], *, base: LocalModel, spec: PreferSpec) -> _Found:
    """Return each judged answer with one to another prompt, in an order drawn by the seed."""
    chat, most = base.loaded.chat, _most_tokens(base, spec)
    dropped: list[Drop] = []
    usable: list[tuple[JudgedAnswer, AnswersRow, int]] = []
    prompts = encode_prompts(chat, [one.prompt for one in preferences])
    for number, (one, prompt) in enumerate(zip(preferences, prompts, strict=True), 1):
        singles = _apart(one)
        rows = [AnswersRow(prompt, (encode_answer(chat, s.answer),)) for s in singles]
        reason = _SAME if len({row.answers for row in rows}) < len(rows) else None
        for single, row in zip(singles, rows, strict=True):
            why = reason or _unusable(row, most)
            if why is None:
                usable.append((single, row, number))
            else:
                dropped.append(_drop(one, number, why))
    others = _others([row for _, row, _ in usable], most, seed=spec.seed)
    kept: list[tuple[JudgedAnswer, AnswersRow, int]] = []
    for (one, row, number), other in zip(usable, others, strict=True):
        if other is None:
            dropped.append(_drop(one, number, _NO_OTHER))
        else:
            kept.append((one, AnswersRow(row.prompt, (row.answers[0], other)), number))
    is_good = tuple(one.is_good for one, _, _ in kept)
    if len(set(is_good)) == 1:
        raise _one_kind(len(kept), is_good=is_good[0])
    return _Found(
        rows=tuple(row for _, row, _ in kept),
        names=tuple(_name(one, number) for one, _, number in kept),
        dropped=tuple(dropped),
        is_good=is_good,
    )


def _one_kind(count: int, *, is_good: bool) -> DataError:
    kind, missing = ("good", "bad") if is_good else ("bad", "good")
    return DataError(
        "TRN-022",
        f"all {count} judged answers are {kind}; kto learns from the difference to {missing} ones",
        help=f"add answers that are {missing}, or train on good ones alone with the lora rung",
    )


def _apart(one: Preference) -> tuple[JudgedAnswer, ...]:
    if isinstance(one, JudgedAnswer):
        return (one,)
    return tuple(
        JudgedAnswer(prompt=one.prompt, answer=answer, is_good=good, source=one.source, row=one.row)
        for answer, good in ((one.chosen, True), (one.rejected, False))
    )


def _others(rows: Sequence[AnswersRow], most: int, *, seed: int) -> list[tuple[int, ...] | None]:
    """Return for each row the next answer to another prompt that fits, going round in a drawn order."""
    order = list(range(len(rows)))
    random.Random(f"kto/{seed}").shuffle(order)
    found: list[tuple[int, ...] | None] = [None] * len(rows)
    for place, index in enumerate(order):
        prompt = rows[index].prompt
        for other in (*order[place + 1 :], *order[:place]):
            answer = rows[other].answers[0]
            if rows[other].prompt != prompt and len(prompt) + len(answer) <= most:
                found[index] = answer
                break
    return found


def _most_tokens(base: LocalModel, spec: PreferSpec) -> int:
    return min(spec.max_length or base.context_tokens, base.context_tokens)


def _unusable(row: AnswersRow, most: int) -> str | None:
    if not row.prompt:
        return "the prompt has no tokens"
    return f"longer than {most} tokens" if row.longest > most else None


def _drop(one: Preference, number: int, reason: str) -> Drop:
    return Drop(source=one.source, row=one.row or number, reason=reason)


def _name(one: Preference, number: int) -> str:
    return f"{one.source} row {one.row}" if one.source else f"preference {number}"


def _nothing_left(count: int, dropped: Sequence[Drop]) -> DataError:
    reasons = "; ".join(sorted({drop.reason for drop in dropped})) or "there is none"
    return DataError(
        "TRN-020",
        f"no preference is left of {count}: {reasons}",
        help="give pairs whose answers differ and which the base's context holds",
    )
