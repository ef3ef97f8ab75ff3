# pyright: standard
"""Several answers to one prompt as tokens, and as batches that read the prompt once.

Where the network honours masks of ours, a row is the prompt followed by all its answers: each answer
sees the prompt and itself, and its positions go on from the prompt's. Otherwise each answer stands
behind a prompt of its own. Both give the same log-probabilities.

Shapes: B rows, T tokens, N positions that carry loss, S answers, A answers of each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import torch
from torch import Tensor

from freehold.core.message import Message
from freehold.models.chat import ChatFormat
from freehold.models.network import Network
from freehold.train.objectives import AnswersBatch, Sight, answer_logprobs


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


def collate_answers(
    rows: Sequence[AnswersRow], names: Sequence[str], network: Network
) -> AnswersBatch:
    """Return the rows as one batch on the device of the network; answers in order, row by row."""
    texts = _shared(rows) if network.mask_form is not None else _apart(rows)
    width = max(len(text.ids) for text in texts)
    tokens_BT = torch.zeros((len(texts), width), dtype=torch.long)
    places: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for index, text in enumerate(texts):
        tokens_BT[index, : len(text.ids)] = torch.tensor(text.ids)
        for answer, sources in zip(text.answers, text.sources, strict=True):
            places.extend(index * width + source for source in sources)
            targets.extend(answer)
            owners.extend([owners[-1] + 1 if owners else 0] * len(answer))
    device = network.device
    return AnswersBatch(
        tokens_BT=tokens_BT.to(device),
        places_N=torch.tensor(places, device=device),
        targets_N=torch.tensor(targets, device=device),
        names=tuple(names),
        tokens=sum(len(text.ids) for text in texts),
        sight=None if network.mask_form is None else _sight(texts, width, network),
        answers_N=torch.tensor(owners, device=device),
        answers=owners[-1] + 1,
    )


@dataclass(frozen=True)
class _Text:
    """A prompt with one answer or more behind it.

    `sources` are the places whose logits speak of each answer's tokens.
    """

    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def ids(self) -> tuple[int, ...]:
        return (*self.prompt, *chain.from_iterable(self.answers))

    @property
    def sources(self) -> list[list[int]]:
        ends = accumulate((len(answer) for answer in self.answers), initial=len(self.prompt))
        return [
            [len(self.prompt) - 1, *range(start, start + len(answer) - 1)]
            for start, answer in zip(ends, self.answers, strict=False)
        ]


def _apart(rows: Sequence[AnswersRow]) -> list[_Text]:
    return [_Text(row.prompt, (answer,)) for row in rows for answer in row.answers]


def _shared(rows: Sequence[AnswersRow]) -> list[_Text]:
    return [_Text(row.prompt, row.answers) for row in rows]


def _sight(texts: Sequence[_Text], width: int, network: Network) -> Sight:
    """Return positions and mask: a token sees its prompt, and of the answers only its own."""
    positions_BT = torch.full((len(texts), width), -1, dtype=torch.long)
    branches_BT = torch.zeros((len(texts), width), dtype=torch.long)
    for index, text in enumerate(texts):
        start = len(text.prompt)
        positions_BT[index, :start] = torch.arange(start)
        for branch, answer in enumerate(text.answers, 1):
            end = start + len(answer)
            first = len(text.prompt)
            positions_BT[index, start:end] = torch.arange(first, first + len(answer))
            branches_BT[index, start:end] = branch
            start = end
    positions_BT = positions_BT.to(network.device)
    branches_BT = branches_BT.to(network.device)
    same_BTT = branches_BT[:, :, None] == branches_BT[:, None]
    among_BTT = same_BTT | (branches_BT == 0)[:, None]
    mask = network.mask(positions_BT, positions_BT, among_TT=among_BTT)
    return Sight(positions_BT=positions_BT, mask=mask)


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
