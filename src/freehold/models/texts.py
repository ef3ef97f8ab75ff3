# pyright: standard
"""Log-probabilities of plain texts after others: what texts share at their beginning is read once.

Pairs of a context and a continuation become token sequences. Sequences that share most of what is
theirs become one row: their common beginning, and behind it a trie of the rest, in which a token sees
its own line only. So the options of a question cost the question once, and so do two sentences that
differ in their middle.

Shapes: B rows, T tokens, W columns of tries, K columns whose logits are wanted, N scored places,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from freehold.core.outcome import Failed
from freehold.models.batching import shared_tokens
from freehold.models.chat import ChatFormat
from freehold.models.door import TextScore, too_long
from freehold.models.network import Network, Prefix
from freehold.models.trie import TokenTrie, build_trie

# A row with more tokens in its trie costs more in its mask than it saves.
MOST_NODES = 512
SHARED_SHARE = 0.4


@dataclass(frozen=True)
class TextPair:
    """A context and what follows it, as tokens; `scored_from` is where the continuation begins."""

    tokens: tuple[int, ...]
    scored_from: int


@dataclass(frozen=True)
class TextRow:
    """Pairs that are read together: `root` is their common beginning, `trie` the rest of each.

    `members` are the places of the pairs, and `skipped` how many of the tokens behind the root belong
    to each pair's context. `sees_WW` says which nodes of the trie, the root left out, see each other.
    """

    members: tuple[int, ...]
    root: tuple[int, ...]
    trie: TokenTrie
    skipped: tuple[int, ...]
    sees_WW: np.ndarray

    @property
    def nodes(self) -> int:
        """How many tokens are read behind the root."""
        return len(self.trie.node_token) - 1


def text_rows(pairs: Sequence[TextPair], *, shared: int = 0) -> tuple[TextRow, ...]:
    """Return rows that hold every pair once; the first `shared` tokens, which all have, do not count.

    A pair joins the row of its neighbour, in the order of their tokens, if their common beginning is at
    least `SHARED_SHARE` of it. Both have a context of at least one token, which stays in the root.
    """
    order = sorted(range(len(pairs)), key=lambda place: pairs[place].tokens)
    rows: list[TextRow] = []
    members: list[int] = []
    root = 0
    tail = 0
    for place in order:
        pair = pairs[place]
        most = pair.scored_from
        if members:
            before = pairs[members[-1]].tokens
            common = min(root, shared_tokens(before, pair.tokens), most)
            size = tail + (len(members) + 1) * (root - common) + len(pair.tokens) - common
            if common - shared >= SHARED_SHARE * (len(pair.tokens) - shared) and size <= MOST_NODES:
                tail, root = size, common
                members.append(place)
                continue
            rows.append(_text_row(pairs, members, root))
        members, root, tail = [place], most, len(pair.tokens) - most
    if members:
        rows.append(_text_row(pairs, members, root))
    return tuple(rows)


def lone_rows(pairs: Sequence[TextPair]) -> tuple[TextRow, ...]:
    """Return a row for each pair, for networks that read one plain row at a time."""
    return tuple(_text_row(pairs, [place], pair.scored_from) for place, pair in enumerate(pairs))


def pair_tokens(
    chat: ChatFormat, contexts: Sequence[str], continuations: Sequence[str]
) -> list[TextPair]:
    """Return each pair as tokens: those of context and continuation together.

    Spaces that end a context belong to what follows. A context without a token begins with the token
    that begins texts, or ends turns where there is none. As lm-eval does it, so that scores compare.
    """
    bare = [context.rstrip() for context in contexts]
    wholes = chat.plain_ids([c + n for c, n in zip(contexts, continuations, strict=True)])
    known = dict.fromkeys(bare)
    starts = dict(zip(known, chat.plain_ids(list(known)), strict=True))
    pairs: list[TextPair] = []
    for context, whole in zip(bare, wholes, strict=True):
        start = starts[context]
        if start:
            pairs.append(TextPair((*start, *whole[len(start) :]), scored_from=len(start)))
        else:
            pairs.append(TextPair((chat.start_id, *whole), scored_from=1))
    return pairs


def unread(pair: TextPair, *, context_tokens: int) -> TextScore | Failed | None:
    """Return the result of a pair that need not or cannot be read; None where it is to be read."""
    new = len(pair.tokens) - pair.scored_from
    if not new:
        return TextScore(logprob=0.0, tokens=0, is_greedy=True)
    # The last token is predicted and never read.
    return too_long(pair.scored_from, new - 1, context_tokens=context_tokens, what="the rest")


def stop_texts(chat: ChatFormat, until: Sequence[str]) -> Callable[[Sequence[int]], bool]:
    """Return whether the text of some answer tokens has come to one of `until`.

    Text is looked at only where the newest token's text holds the last letter of one of them, and no
    further back than the longest of them can reach.
    """
    last = {text[-1] for text in until}
    reach = max(len(text.encode()) for text in until) + 1

    @cache
    def may_end(token: int) -> bool:
        # A letter of several bytes may end in a token that is no text by itself.
        piece = chat.decode([token])
        return not piece or "\ufffd" in piece or any(letter in piece for letter in last)

    def is_over(tokens: Sequence[int]) -> bool:
        if not may_end(tokens[-1]):
            return False
        text = chat.decode(tokens[-reach:])
        return any(end in text for end in until)

    return is_over


def score_rows(
    network: Network, rows: Sequence[TextRow], *, prefix: Prefix | None
) -> list[tuple[TextScore, ...]]:
    """Return the scores of each row's pairs, in the order of its members.

    Args:
        network: a network that honours masks, or, for one row with one pair, any.
        rows: what is read together.
        prefix: what all roots start with, already read.
    """
    tokens_BT, positions_BT = _columns(
        rows, start=prefix.length if prefix else 0, device=network.device
    )
    width = max(row.nodes for row in rows)
    logits_BKV = network.reading(len(rows), prefix=prefix).read(
        tokens_BT, positions_BT, keep=width + 1, among_TT=_among(rows, tokens_BT, width)
    )
    places = [(b, node) for b, row in enumerate(rows) for node in _scored_nodes(row)]
    number = {place: n for n, place in enumerate(places)}
    row_N = torch.tensor([b for b, _ in places], device=network.device)
    column_N = torch.tensor([width - rows[b].nodes + node for b, node in places]).to(network.device)
    logits_NV = logits_BKV[row_N, column_N]
    totals_N = torch.logsumexp(logits_NV, dim=-1)
    edges = [(b, edge) for b, row in enumerate(rows) for edge in range(len(row.trie.edge_node))]
    wanted = [
        (number[b, rows[b].trie.edge_node[e]], rows[b].trie.edge_token[e])
        for b, e in edges
        if (b, rows[b].trie.edge_node[e]) in number
    ]
    at_E = torch.tensor([n for n, _ in wanted], device=network.device)
    token_E = torch.tensor([token for _, token in wanted], device=network.device)
    chosen_E = logits_NV[at_E, token_E]
    logprobs = iter((chosen_E - totals_N[at_E]).tolist())
    greedy = iter((logits_NV.argmax(dim=-1)[at_E] == token_E).tolist())
    scored = {
        (b, e): (next(logprobs), next(greedy))
        for b, e in edges
        if (b, rows[b].trie.edge_node[e]) in number
    }
    return [
        tuple(
            _text_score([scored[b, edge] for edge in path[skipped:]])
            for path, skipped in zip(row.trie.paths, row.skipped, strict=True)
        )
        for b, row in enumerate(rows)
    ]


def _text_score(tokens: Sequence[tuple[float, bool]]) -> TextScore:
    return TextScore(
        logprob=sum(logprob for logprob, _ in tokens),
        tokens=len(tokens),
        is_greedy=all(is_greedy for _, is_greedy in tokens),
    )


def _scored_nodes(row: TextRow) -> list[int]:
    """Return the nodes that predict a token of some continuation, in order."""
    edges = {
        edge
        for path, skipped in zip(row.trie.paths, row.skipped, strict=True)
        for edge in path[skipped:]
    }
    return sorted({row.trie.edge_node[edge] for edge in edges})


def _columns(
    rows: Sequence[TextRow], *, start: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens and positions [B, T] without the prefix of `start` tokens, padded on the left."""
    lengths = [len(row.root) - start + row.nodes for row in rows]
    tokens_BT = np.zeros((len(rows), max(lengths)), dtype=np.int64)
    positions_BT = np.full((len(rows), max(lengths)), -1, dtype=np.int64)
    for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        last = len(row.root) - 1
        tokens_BT[place, -length:] = (*row.root[start:], *row.trie.node_token[1:])
        positions_BT[place, -length:] = (
            *range(start, last + 1),
            *(last + depth for depth in row.trie.node_depth[1:]),
        )
    return torch.from_numpy(tokens_BT).to(device), torch.from_numpy(positions_BT).to(device)


def _among(rows: Sequence[TextRow], tokens_BT: torch.Tensor, width: int) -> torch.Tensor | None:
    """Return who sees whom in the last `width` columns, [B, W, W]; None where no row branches."""
    if all(row.sees_WW.all(where=np.tri(row.nodes, dtype=np.bool_)) for row in rows):
        return None
    among_BWW = np.ones((len(rows), width, width), dtype=np.bool_)
    for place, row in enumerate(rows):
        if row.nodes:
            among_BWW[place, -row.nodes :, -row.nodes :] = row.sees_WW
    return torch.from_numpy(among_BWW).to(tokens_BT.device)


def _text_row(pairs: Sequence[TextPair], members: Sequence[int], root: int) -> TextRow:
    trie = build_trie([pairs[place].tokens[root:] for place in members])
    nodes = len(trie.node_token) - 1
    sees_WW = np.zeros((nodes, nodes), dtype=np.bool_)
    for node, parent in enumerate(trie.node_parent[1:]):
        if parent > 0:
            sees_WW[node] = sees_WW[parent - 1]
        sees_WW[node, node] = True
    return TextRow(
        members=tuple(members),
        root=pairs[members[0]].tokens[:root],
        trie=trie,
        skipped=tuple(pairs[place].scored_from - root for place in members),
        sees_WW=sees_WW,
    )
