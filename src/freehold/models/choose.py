# pyright: standard
"""Log-probabilities of given answers: many options for one prompt in one pass, or one answer each.

Options are a trie that follows the prompt, so that what they share is read once, and the prompt is
read once for all of them. A mask lets each token see its prompt and its own ancestors only.

Shapes: B rows, T tokens, N inner nodes of the trie, E edges, O options, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from freehold.models.batching import shared_tokens
from freehold.models.generate import pad_left
from freehold.models.network import Network, Prefix, Reading
from freehold.models.trie import TokenTrie, build_trie

# Logits of one pass: 256 MiB in float32. A vocabulary of 150,000 leaves room for 447 nodes.
LOGIT_CELLS = 1 << 26


@dataclass(frozen=True)
class OptionTrie:
    """The trie of a set of options, as tensors, with the options that it holds."""

    trie: TokenTrie
    options: tuple[int, ...]
    tokens_N: torch.Tensor
    depths_N: torch.Tensor
    sees_NN: torch.Tensor
    edge_nodes_E: torch.Tensor
    edge_tokens_E: torch.Tensor
    option_edges_OE: torch.Tensor

    @property
    def nodes(self) -> int:
        """How many inner nodes there are, the root included."""
        return len(self.trie.node_token)


def option_tries(
    sequences: Sequence[tuple[int, ...]], *, most_nodes: int, device: torch.device
) -> tuple[OptionTrie, ...]:
    """Return tries that hold every sequence once, each of about `most_nodes` inner nodes at most."""
    order = sorted(range(len(sequences)), key=lambda place: sequences[place])
    groups: list[list[int]] = [[]]
    nodes = 0
    before: tuple[int, ...] = ()
    for place in order:
        sequence = sequences[place]
        shared = shared_tokens(before, sequence)
        new = max(0, len(sequence) - 1 - shared)
        if groups[-1] and nodes + new > most_nodes:
            groups.append([])
            nodes, new = 0, len(sequence)
        groups[-1].append(place)
        nodes, before = nodes + new, sequence
    return tuple(_option_trie(sequences, tuple(group), device) for group in groups)


def score_options(
    network: Network,
    prompts: Sequence[Sequence[int]],
    tries: Sequence[OptionTrie],
    *,
    prefix: Prefix | None,
) -> torch.Tensor:
    """Return log-probabilities of all options after each prompt, float64 [B, O] on the CPU.

    Args:
        network: a network that honours masks.
        prompts: tokens without the prefix, at least one each.
        tries: the options; the first is read together with the prompt, others after it.
        prefix: what all prompts start with, already read.
    """
    start = prefix.length if prefix else 0
    reading = Reading(network, rows=len(prompts), prefix=prefix)
    tokens_BT, positions_BT = pad_left(prompts, start=start, device=network.device)
    ends_B1 = positions_BT[:, -1:]
    scores = torch.zeros(
        (len(prompts), sum(len(trie.options) for trie in tries)), dtype=torch.float64
    )
    root_B1V: torch.Tensor | None = None
    for trie in tries:
        new_BT = trie.tokens_N[None, 1:].expand(len(prompts), -1)
        new_positions_BT = ends_B1 + trie.depths_N[None, 1:]
        if root_B1V is None:
            new_BT = torch.cat([tokens_BT, new_BT], dim=1)
            new_positions_BT = torch.cat([positions_BT, new_positions_BT], dim=1)
        logits_BNV = _read_trie(
            reading, trie, tokens_BT=new_BT, positions_BT=new_positions_BT, root_B1V=root_B1V
        )
        if len(tries) > 1:
            root_B1V = logits_BNV[:, :1]
            reading.rewind(trie.nodes - 1)
        scores[:, list(trie.options)] = _option_scores(logits_BNV, trie).cpu()
    return scores


def score_answers(
    network: Network,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    prefix: Prefix | None,
) -> Iterator[tuple[tuple[float, ...], bool]]:
    """Yield for each pair of prompt (without the prefix) and answer the answer's log-probabilities.

    With them comes whether every token of the answer is the likeliest one at its place.
    """
    reading = network.reading(len(rows), prefix=prefix)
    read = [[*prompt, *answer[:-1]] for prompt, answer in rows]
    tokens_BT, positions_BT = pad_left(
        read, start=prefix.length if prefix else 0, device=network.device
    )
    longest = max(len(answer) for _, answer in rows)
    logits_BTV = reading.read(tokens_BT, positions_BT, keep=longest)
    logprobs_BTV = torch.log_softmax(logits_BTV, dim=-1)
    for place, (_, answer) in enumerate(rows):
        wanted = torch.tensor(list(answer), device=network.device)[:, None]
        logprobs_TV = logprobs_BTV[place, -len(answer) :]
        is_greedy = bool((logprobs_TV.argmax(dim=-1) == wanted[:, 0]).all())
        yield tuple(logprobs_TV.gather(-1, wanted)[:, 0].tolist()), is_greedy


def _read_trie(
    reading: Reading,
    trie: OptionTrie,
    *,
    tokens_BT: torch.Tensor,
    positions_BT: torch.Tensor,
    root_B1V: torch.Tensor | None,
) -> torch.Tensor:
    """Return logits after every inner node. The root's are read with the prompt, or known already."""
    width = tokens_BT.shape[1]
    if width == 0 and root_B1V is not None:
        return root_B1V
    in_trie = trie.nodes - 1
    among_TT = torch.ones((width, width), dtype=torch.bool, device=tokens_BT.device)
    if in_trie:
        among_TT[-in_trie:, -in_trie:] = trie.sees_NN[1:, 1:]
    if root_B1V is None:
        return reading.read(tokens_BT, positions_BT, keep=trie.nodes, among_TT=among_TT)
    below = reading.read(tokens_BT, positions_BT, keep=in_trie, among_TT=among_TT)
    return torch.cat([root_B1V, below], dim=1)


def _option_scores(logits_BNV: torch.Tensor, trie: OptionTrie) -> torch.Tensor:
    totals_BN = torch.logsumexp(logits_BNV, dim=-1)
    edges_BE = (
        logits_BNV[:, trie.edge_nodes_E, trie.edge_tokens_E] - totals_BN[:, trie.edge_nodes_E]
    )
    return edges_BE.double() @ trie.option_edges_OE.T


def _option_trie(
    sequences: Sequence[tuple[int, ...]], options: tuple[int, ...], device: torch.device
) -> OptionTrie:
    trie = build_trie([sequences[place] for place in options])
    sees_NN = torch.zeros((len(trie.node_token), len(trie.node_token)), dtype=torch.bool)
    for node, line in enumerate(trie.ancestors()):
        sees_NN[node, line] = True
    option_edges_OE = torch.zeros((len(options), len(trie.edge_node)), dtype=torch.float64)
    for place, path in enumerate(trie.paths):
        option_edges_OE[place, list(path)] = 1.0
    return OptionTrie(
        trie=trie,
        options=options,
        tokens_N=torch.tensor(trie.node_token, device=device),
        depths_N=torch.tensor(trie.node_depth, device=device),
        sees_NN=sees_NN.to(device),
        edge_nodes_E=torch.tensor(trie.edge_node, device=device),
        edge_tokens_E=torch.tensor(trie.edge_token, device=device),
        option_edges_OE=option_edges_OE.to(device),
    )
