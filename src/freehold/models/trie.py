"""A trie of token sequences: what several answers share is computed once.

Pure code on integers. The root is the prompt's last token; an edge is one token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TokenTrie:
    """Token sequences as a trie, laid out for one pass of a network.

    Inner nodes (those with children) are numbered from 0, the root, in an order where a parent comes
    before its children. Only they must be fed to the network: a leaf's token is predicted, never
    read. Edges lead from an inner node to a token, whether or not the token's node is inner.

    Attributes:
        node_token: the token that each inner node reads; the root's is -1.
        node_parent: the inner node above; the root's is -1.
        node_depth: edges from the root.
        edge_node: the inner node that predicts each edge.
        edge_token: the token that is predicted.
        paths: for each sequence, its edges in order.
    """

    node_token: tuple[int, ...]
    node_parent: tuple[int, ...]
    node_depth: tuple[int, ...]
    edge_node: tuple[int, ...]
    edge_token: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]

    def ancestors(self) -> list[list[int]]:
        """Return for each inner node the inner nodes from the root down to itself."""
        lines: list[list[int]] = []
        for node, parent in enumerate(self.node_parent):
            lines.append([node] if parent < 0 else [*lines[parent], node])
        return lines


def build_trie(sequences: Sequence[Sequence[int]]) -> TokenTrie:
    """Return the trie of `sequences`, each of at least one token; equal ones share their path.

    Raises:
        ValueError: there is no sequence, or one is empty.
    """
    if not sequences or not all(sequences):
        raise ValueError("a trie needs at least one sequence, and no empty one")
    inner = {tuple(s[:cut]) for s in sequences for cut in range(len(s))}
    nodes = sorted(inner, key=lambda prefix: (len(prefix), prefix))
    number = {prefix: place for place, prefix in enumerate(nodes)}
    edges: dict[tuple[int, int], int] = {}
    paths: list[tuple[int, ...]] = []
    for sequence in sequences:
        steps = [(number[tuple(sequence[:cut])], token) for cut, token in enumerate(sequence)]
        paths.append(tuple(edges.setdefault(step, len(edges)) for step in steps))
    return TokenTrie(
        node_token=tuple(prefix[-1] if prefix else -1 for prefix in nodes),
        node_parent=tuple(number[prefix[:-1]] if prefix else -1 for prefix in nodes),
        node_depth=tuple(len(prefix) for prefix in nodes),
        edge_node=tuple(node for node, _ in edges),
        edge_token=tuple(token for _, token in edges),
        paths=tuple(paths),
    )
