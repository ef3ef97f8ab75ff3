# pyright: standard
"""Answers to prompts as tokens, and as batches that read nothing twice.

Where the network honours masks of ours, a row is the prompt followed by all its answers: each answer
sees the prompt and itself, and its positions go on from the prompt's. What all prompts of a batch
start with (the system turn, mostly) is read once for all rows. Otherwise each answer stands behind a
prompt of its own. Both give the same log-probabilities.

Shapes: B rows, T tokens, N positions that carry loss, S answers, A answers of each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import torch
from torch import Tensor

from freehold.core.message import Message
from freehold.models.batching import common_prefix
from freehold.models.calls import SHORTEST_PREFIX
from freehold.models.chat import ChatFormat
from freehold.models.network import Network
from freehold.train.objectives import AnswersBatch, Batch, Sight, Start, answer_logprobs
from freehold.train.rows import TokenRow

LEAST_SAVED: Mapping[str, float] = {"cpu": 0.1, "cuda": 0.5}
"""The share of a batch's tokens that a common start must save, to be worth a pass of its own.

On a GPU the second pass launches as many kernels as the first, which small networks wait for, and the
mask that it needs rules out flash attention: without a common start, plain rows need no mask.
"""


@dataclass(frozen=True)
class AnswersRow:
    """A prompt and the answers to it as tokens, each with the token that ends it."""

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def answer_tokens(self) -> int:
        """How many positions carry loss."""
        return sum(len(answer) for answer in self.answers)

    @property
    def longest(self) -> int:
        """The tokens of the prompt with its longest answer: what the context must hold."""
        return len(self.prompt) + max(len(answer) for answer in self.answers)


def encode_prompts(
    chat: ChatFormat, prompts: Sequence[tuple[Message, ...]]
) -> list[tuple[int, ...]]:
    """Return the prompts as tokens.

    Raises:
        ModelError: the chat template refuses the turns of a prompt.
    """
    return [tuple(ids) for ids in chat.tokenize([chat.render(prompt) for prompt in prompts])]


def encode_answer(chat: ChatFormat, answer: str) -> tuple[int, ...]:
    """Return the tokens of an answer with the end of its turn."""
    return (*chat.answer_ids(answer), chat.end_id)


def row_tokens(row: AnswersRow, network: Network) -> int:
    """Return the tokens that a row costs: of all its answers, with one prompt or one for each."""
    if network.mask_form is None:
        return len(row.answers) * row.longest
    return len(row.prompt) + row.answer_tokens


def passed_tokens(rows: Sequence[AnswersRow], network: Network) -> int:
    """Return the tokens that pass the network when these rows are one batch, their common start once.

    A start is taken as read once also where a row must pass as a whole (`needs_one_pass`): a training is the
    same however its network is spread.
    """
    if network.mask_form is None:
        return sum(len(row.answers) * len(row.prompt) + row.answer_tokens for row in rows)
    tokens = sum(len(row.prompt) + row.answer_tokens for row in rows)
    return tokens - (len(rows) - 1) * _shared_start(rows, network)


def collate_rows(rows: Sequence[TokenRow], names: Sequence[str], network: Network) -> Batch:
    """Return rows as one batch on the device of the network, their common start once."""
    laid = _lay_out([as_answers_row(row) for row in rows], network)
    return Batch(
        tokens_BT=laid.tokens_BT,
        places_N=laid.places_N,
        targets_N=laid.targets_N,
        names=tuple(names),
        tokens=laid.tokens,
        sight=laid.sight,
        start=laid.start,
    )


def as_answers_row(row: TokenRow) -> AnswersRow:
    """Return a row as a prompt with its only answer."""
    return AnswersRow(row.ids[: row.answer_start], (row.ids[row.answer_start :],))


def collate_answers(
    rows: Sequence[AnswersRow], names: Sequence[str], network: Network
) -> AnswersBatch:
    """Return the rows as one batch on the device of the network; answers in order, row by row."""
    laid = _lay_out(rows, network)
    return AnswersBatch(
        tokens_BT=laid.tokens_BT,
        places_N=laid.places_N,
        targets_N=laid.targets_N,
        names=tuple(names),
        tokens=laid.tokens,
        sight=laid.sight,
        start=laid.start,
        answers_N=laid.answers_N,
        answers=sum(len(row.answers) for row in rows),
    )


@dataclass(frozen=True)
class _Laid:
    """Rows as tensors; see `Batch` and `AnswersBatch`."""

    tokens_BT: Tensor
    places_N: Tensor
    targets_N: Tensor
    tokens: int
    sight: Sight | None
    start: Start | None
    answers_N: Tensor


def _lay_out(rows: Sequence[AnswersRow], network: Network) -> _Laid:
    shared = 0
    if network.mask_form is None:
        rows = [AnswersRow(row.prompt, (answer,)) for row in rows for answer in row.answers]
    elif not needs_one_pass(network.module):
        shared = _shared_start(rows, network)
    texts = [_Text(row.prompt, row.answers, shared) for row in rows]
    width = max(len(text.ids) for text in texts)
    tokens_BT = torch.zeros((len(texts), width), dtype=torch.long)
    places: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    answer = 0
    for index, text in enumerate(texts):
        tokens_BT[index, : len(text.ids)] = torch.tensor(text.ids)
        for ids, sources in zip(text.answers, text.sources, strict=True):
            places.extend(index * width + source for source in sources)
            targets.extend(ids)
            owners.extend([answer] * len(ids))
            answer += 1
    device = network.device
    is_plain = not shared and all(len(text.answers) == 1 for text in texts)
    return _Laid(
        tokens_BT=tokens_BT.to(device),
        places_N=torch.tensor(places, device=device),
        targets_N=torch.tensor(targets, device=device),
        tokens=shared + sum(len(text.ids) for text in texts),
        sight=None if is_plain else _sight(texts, width, network),
        start=_start(rows[0].prompt[:shared], network) if shared else None,
        answers_N=torch.tensor(owners, device=device),
    )


def needs_one_pass(module: torch.nn.Module) -> bool:
    """Tell whether a row must pass the network as a whole, and nothing may be read before it.

    Keys and values that reach a layer as a cache are left out where layers run again in the backward pass
    (`checkpointing`), and come back to weights that are gone where they lie in shards (`processes`).
    """
    marks = ("gradient_checkpointing", "_is_fsdp_managed_module")
    return any(getattr(layer, mark, False) for layer in module.modules() for mark in marks)


def _shared_start(rows: Sequence[AnswersRow], network: Network) -> int:
    """Return how many tokens all prompts start with, 0 where reading them once does not pay.

    Every row keeps a token of its prompt, whose logits speak of the first tokens of its answers.
    """
    least_saved = LEAST_SAVED.get(network.device.type, 1.0)
    shared = min(common_prefix([row.prompt for row in rows]), min(len(r.prompt) for r in rows) - 1)
    tokens = sum(len(row.prompt) + row.answer_tokens for row in rows)
    pays = shared >= SHORTEST_PREFIX and shared * (len(rows) - 1) >= least_saved * tokens
    return shared if pays else 0


@dataclass(frozen=True)
class _Text:
    """A prompt with its answers behind it; the first `shared` tokens are read elsewhere.

    `sources` are the places whose logits speak of each answer's tokens.
    """

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]
    shared: int

    @property
    def ids(self) -> tuple[int, ...]:
        return (*self.prompt[self.shared :], *chain.from_iterable(self.answers))

    @property
    def sources(self) -> list[list[int]]:
        own = len(self.prompt) - self.shared
        starts = accumulate((len(answer) for answer in self.answers), initial=own)
        return [
            [own - 1, *range(start, start + len(answer) - 1)]
            for start, answer in zip(starts, self.answers, strict=False)
        ]


def _sight(texts: Sequence[_Text], width: int, network: Network) -> Sight:
    """Return positions and mask: a token sees its prompt, and of the answers only its own."""
    shared = texts[0].shared
    positions_BT = torch.full((len(texts), width), -1, dtype=torch.long)
    branches_BT = torch.zeros((len(texts), width), dtype=torch.long)
    for index, text in enumerate(texts):
        first = len(text.prompt)
        place = first - shared
        positions_BT[index, :place] = torch.arange(shared, first)
        for branch, answer in enumerate(text.answers, 1):
            end = place + len(answer)
            positions_BT[index, place:end] = torch.arange(first, first + len(answer))
            branches_BT[index, place:end] = branch
            place = end
    same_BTT = branches_BT[:, :, None] == branches_BT[:, None]
    among_BTT = same_BTT | (branches_BT == 0)[:, None]
    before_BP = torch.arange(shared).expand(len(texts), -1)
    device = network.device
    mask = network.mask(
        torch.cat([before_BP, positions_BT], dim=1).to(device),
        positions_BT.to(device),
        among_TT=among_BTT.to(device),
    )
    return Sight(positions_BT=positions_BT.to(device), mask=mask)


def _start(ids: Sequence[int], network: Network) -> Start:
    positions_1P = torch.arange(len(ids), device=network.device)[None]
    mask = network.mask(positions_1P, positions_1P)
    tokens_1P = torch.tensor([list(ids)], device=network.device)
    return Start(tokens_1P=tokens_1P, sight=Sight(positions_BT=positions_1P, mask=mask))


@torch.no_grad()
def reference_logprobs(
    network: Network, rows: Sequence[AnswersRow], *, batch_tokens: int
) -> Tensor:
    """Return the log-probability of each answer under the network as it is, [rows, A] in float32.

    Args:
        network: untouched; it is read in evaluation mode.
        rows: with the same number of answers each, at least one row.
        batch_tokens: padded tokens that pass the network together.
    """
    costs = [row_tokens(row, network) for row in rows]
    order = sorted(range(len(rows)), key=lambda index: costs[index])
    found: dict[int, Tensor] = {}
    while order:
        take = max(1, batch_tokens // costs[order[-1]])
        indices, order = order[-take:], order[:-take]
        batch = collate_answers([rows[i] for i in indices], ["" for _ in indices], network)
        total_S, _ = answer_logprobs(network.module, batch)
        found.update(zip(indices, total_S.view(len(indices), -1).unbind(), strict=True))
    return torch.stack([found[index] for index in range(len(rows))])
