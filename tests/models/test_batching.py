"""Laws of batches, prefixes and tries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.models.batching import common_prefix, plan_batches
from freehold.models.trie import build_trie

TOKENS = st.lists(st.integers(0, 3), max_size=6)
SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=12)


@given(
    lengths=st.lists(st.integers(1, 300), max_size=60),
    extra=st.integers(0, 100),
    budget=st.integers(1, 2000),
    most_rows=st.integers(1, 20),
)
def test_every_row_is_in_one_batch_and_no_batch_is_too_large(
    lengths: list[int], extra: int, budget: int, most_rows: int
) -> None:
    batches = plan_batches(lengths, extra=extra, budget=budget, most_rows=most_rows)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) <= most_rows
        assert len(batch) == 1 or len(batch) * (longest + extra) <= budget
        if len(batch) > 8:
            assert sum(lengths[place] for place in batch) >= 0.8 * len(batch) * longest


@given(st.lists(TOKENS, max_size=6))
def test_the_common_prefix_is_that_of_texts(sequences: list[list[int]]) -> None:
    texts = ["".join(map(str, sequence)) for sequence in sequences]
    shared = common_prefix(sequences)
    if len(texts) < 2:
        assert shared == 0
    else:
        assert len({text[:shared] for text in texts}) == 1
        longer = {text[: shared + 1] for text in texts}
        assert len(longer) > 1 or min(map(len, texts)) == shared


@given(SEQUENCES)
def test_paths_of_a_trie_spell_the_sequences(sequences: list[list[int]]) -> None:
    trie = build_trie(sequences)
    for path, sequence in zip(trie.paths, sequences, strict=True):
        assert [trie.edge_token[edge] for edge in path] == sequence
        assert [trie.node_depth[trie.edge_node[edge]] for edge in path] == list(range(len(path)))


@given(SEQUENCES)
def test_inner_nodes_are_the_distinct_beginnings(sequences: list[list[int]]) -> None:
    trie = build_trie(sequences)
    beginnings = {tuple(s[:cut]) for s in sequences for cut in range(len(s))}
    spelled = {
        tuple(trie.node_token[node] for node in line if node > 0) for line in trie.ancestors()
    }
    assert spelled == beginnings
    assert len(trie.node_token) == len(beginnings)
    edges = list(zip(trie.edge_node, trie.edge_token, strict=True))
    assert len(edges) == len(set(edges))


@pytest.mark.parametrize("sequences", [[], [[1], []]])
def test_a_trie_of_nothing_is_refused(sequences: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        build_trie(sequences)
