from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.retrieve.meaning import Counting, embed

from freehold.core.errors import DataError
from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.documents import Document
from freehold.retrieve.index import Found, How, Index, from_bytes, open_index

SPEC = ChunkSpec(size=60)
WORDS = st.sampled_from(
    [
        "fee",
        "fees",
        "transfer",
        "abroad",
        "euro",
        "refund",
        "card",
        "lost",
        "Überweisung",
        "the",
        "of",
    ]
)
TEXTS = st.lists(WORDS, max_size=30).map(" ".join)
LABELS = st.sets(st.sampled_from(["hr", "it", "law"]), max_size=2)
HOWS = st.sampled_from(("hybrid", "words", "meaning"))
MANY = settings(max_examples=40, deadline=None)


def document(id: str, text: str, *access: str, title: str = "") -> Document:
    return Document(id=id, title=title, text=text, access=access)


@st.composite
def collections(draw: st.DrawFn) -> list[Document]:
    texts = draw(st.lists(TEXTS, max_size=6, unique=True))
    return [document(f"d{n}", text, *sorted(draw(LABELS))) for n, text in enumerate(texts)]


def index_of(documents: Sequence[Document], *, spec: ChunkSpec = SPEC) -> Index:
    index = open_index(None, embed=embed, embedder="tests")
    index.update(documents, chunk=spec)
    return index


def ids(found: Sequence[Found]) -> list[str]:
    return [one.passage.id for one in found]


# Searching -----------------------------------------------------------------------------------


@MANY
@given(documents=collections(), query=st.text() | TEXTS, k=st.integers(1, 4), how=HOWS)
def test_any_text_is_a_query_and_passages_are_found_as_they_stand(
    documents: list[Document], query: str, k: int, how: How
) -> None:
    everything = frozenset({"hr", "it", "law"})
    with index_of(documents) as index:
        (found,) = index.search([query], k=k, how=how, access=everything)
    texts = {one.id: one.text for one in documents}
    assert len(found) <= k
    assert len(set(ids(found))) == len(found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        passage = one.passage
        end = passage.start + len(passage.text)
        assert texts[passage.document_id][passage.start : end] == passage.text
        assert one.by_words is not None or one.by_meaning is not None


@MANY
@given(documents=collections(), query=TEXTS, held=LABELS, how=HOWS)
def test_an_asker_finds_what_an_index_of_the_permitted_documents_alone_would_find(
    documents: list[Document], query: str, held: set[str], how: How
) -> None:
    permitted = [one for one in documents if not one.access or held & set(one.access)]
    with index_of(documents) as index, index_of(permitted) as alone:
        found = index.search([query], k=5, how=how, access=frozenset(held))
        assert found == alone.search([query], k=5, how=how, access=frozenset(held))
    for one in found[0]:
        assert not one.passage.access or held & set(one.passage.access)


def test_without_labels_only_public_documents_are_seen() -> None:
    with index_of([document("a", "fees", "hr"), document("b", "the fees")]) as index:
        for held in (None, frozenset[str](), frozenset({"it", "HR", ""})):
            assert ids(index.search(["fees"], k=5, access=held)[0]) == ["b#1"]
        assert index.labels == frozenset({"hr"})
        assert len(index.search(["fees"], k=5, access=index.labels)[0]) == 2


def test_words_are_found_by_bm25() -> None:
    texts = [
        "the fee of a transfer",
        "fee fee fee",
        "the card is lost",
        "Über the FEES and the fée",
    ]
    with index_of([document(f"d{n}", text) for n, text in enumerate(texts)]) as index:
        (found,) = index.search(["The fee, the FEE?"], k=4, how="words")
    counts = [
        [text.casefold().replace("é", "e").split().count(w) for w in ("the", "fee")]
        for text in texts
    ]
    lengths = [len(text.split()) for text in texts]
    mean = sum(lengths) / len(lengths)
    scores: list[float] = []
    for count, length in zip(counts, lengths, strict=True):
        score = 0.0
        for word, often in enumerate(count):
            n = sum(1 for one in counts if one[word])
            rarity = np.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            score += 2 * rarity * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * length / mean))
        scores.append(score)
    best = sorted(range(4), key=lambda n: -scores[n])
    assert ids(found) == [f"d{n}#1" for n in best if scores[n] > 0]


def test_meaning_is_found_by_the_exact_cosine() -> None:
    rng = np.random.default_rng(3)
    vocabulary = [f"word{n}" for n in range(40)]
    documents = [document(f"d{n:03}", " ".join(rng.choice(vocabulary, 8))) for n in range(300)]
    with index_of(documents, spec=ChunkSpec(size=400)) as index:
        queries = [" ".join(rng.choice(vocabulary, 5)) for _ in range(40)]
        together = index.search(queries, k=120, how="meaning")
        alone = [index.search([query], k=120, how="meaning")[0] for query in queries]
    assert together == alone
    vectors = embed([one.text for one in documents]).astype(np.float64)
    for query, found in zip(queries, together, strict=True):
        exact: NDArray[np.float64] = vectors @ embed([query])[0].astype(np.float64)
        near = [round(float(one), 9) for one in exact]
        order = sorted(range(300), key=lambda n: (-near[n], n))
        assert [one.passage.document_id for one in found] == [f"d{n:03}" for n in order[:120]]


def test_two_orders_are_made_one_by_their_ranks() -> None:
    with index_of(
        [document("a", "fee fee"), document("b", "fee and card"), document("c", "x")]
    ) as index:
        (found,) = index.search(["fee"], k=3)
    for one in found:
        ranks = [rank for rank in (one.by_words, one.by_meaning) if rank is not None]
        assert one.score == pytest.approx(sum(1 / (60 + rank) for rank in ranks))


def test_equal_passages_stand_in_the_order_of_their_documents() -> None:
    texts = [document(f"d{n}", f"fee {n}") for n in (3, 1, 2)]
    with index_of(texts) as index:
        assert ids(index.search(["fee"], k=3, how="words")[0]) == ["d1#1", "d2#1", "d3#1"]


def test_an_empty_index_and_an_empty_query_find_nothing() -> None:
    with index_of([]) as index:
        assert index.search(["fee", ""], k=3) == [[], []]
    with index_of([document("a", "fee"), document("b", " \n")]) as index:
        assert index.search([" \n"], k=3) == [[]]
        assert len(index) == 1


# Updating ------------------------------------------------------------------------------------


@MANY
@given(first=collections(), second=collections(), query=TEXTS, how=HOWS)
def test_an_updated_index_finds_what_a_new_one_finds(
    first: list[Document], second: list[Document], query: str, how: How
) -> None:
    everything = frozenset({"hr", "it", "law"})
    with index_of(first) as index, index_of(second) as anew:
        index.search([query], k=2)
        changes = index.update(second, chunk=SPEC)
        given_again = index.update(second, chunk=SPEC)
        assert index.search([query], k=9, how=how, access=everything) == anew.search(
            [query], k=9, how=how, access=everything
        )
    assert {*changes.added, *changes.changed, *changes.unchanged} == {one.id for one in second}
    assert given_again.unchanged == tuple(one.id for one in second)
    assert not given_again.added + given_again.changed + given_again.removed


def test_only_what_changed_is_embedded() -> None:
    counting = Counting()
    with open_index(None, embed=counting, embedder="tests") as index:
        index.update(
            [document("a", "one"), document("b", "two"), document("c", "three")], chunk=SPEC
        )
        counting.texts.clear()
        changes = index.update(
            [document("a", "one", "hr"), document("b", "two more"), document("d", "four")],
            chunk=SPEC,
        )
        assert counting.texts == ["two more", "four"]
        assert (changes.added, changes.changed) == (("d",), ("a", "b"))
        assert (changes.removed, changes.unchanged) == (("c",), ())
        assert index.remove(["d", "never there"]) == ("d",)


def test_of_a_changed_document_only_the_new_passages_are_embedded() -> None:
    counting = Counting()
    sections = [f"## Part {n}\n\nThis is what stands in the part {n} of it." for n in range(9)]
    with open_index(None, embed=counting, embedder="tests") as index:
        index.update([document("a", "\n\n".join(sections))], chunk=ChunkSpec(size=90))
        assert len(counting.texts) == 9
        counting.texts.clear()
        sections[4] += " And more."
        assert index.update(
            [document("a", "\n\n".join(sections))], chunk=ChunkSpec(size=90)
        ).changed == ("a",)
        assert [text.split("\n")[-1] for text in counting.texts] == [
            "This is what stands in the part 4 of it. And more."
        ]
        counting.texts.clear()
        assert index.update(
            [document("a", "\n\n".join(sections))], chunk=ChunkSpec(size=59)
        ).changed == ("a",)
        assert len(counting.texts) == 2
        assert index.search(["and more"], k=1)[0][0].passage.section == "Part 4"


def test_the_same_text_is_kept_once_and_counted() -> None:
    documents = [document("a", "fee"), document("b", "fee"), document("c", "fee", title="Other")]
    with index_of(documents) as index:
        assert index.update(documents, chunk=SPEC).duplicates == (("b", "a"), ("c", "a"))
        assert ids(index.search(["fee"], k=5)[0]) == ["a#1"]


def test_the_stricter_labels_count_where_the_same_text_has_two_lists() -> None:
    with index_of(
        [document("a", "fee"), document("b", "fee", "hr", "it"), document("c", "fee", "it")]
    ) as index:
        assert index.search(["fee"], k=5, access=frozenset({"hr"})) == [[]]
        (found,) = index.search(["fee"], k=5, access=frozenset({"it"}))[0]
        assert found.passage.access == ("it",)


@pytest.mark.parametrize(
    ("documents", "code"),
    [
        ([document("a", "x", "hr"), document("b", "x", "it")], "DOC-002"),
        ([document("a", "x"), document("a", "y")], "DOC-004"),
    ],
)
def test_documents_that_contradict_each_other_are_refused(
    documents: list[Document], code: str
) -> None:
    with index_of([]) as index, pytest.raises(DataError, match=code) as caught:
        index.update(documents, chunk=SPEC)
    assert "`a`" in caught.value.problems[0].message


# The file ------------------------------------------------------------------------------------


def test_deleted_text_is_gone_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "index.db"
    documents = [
        document(f"d{n}", f"Nobody may know of Zebedee{n}. " * 30, title=f"Secret{n}")
        for n in range(40)
    ]
    with open_index(file, embed=embed, embedder="tests") as index:
        index.update(documents, chunk=SPEC)
        assert b"Zebedee7" in file.read_bytes()
        index.update([one for one in documents if one.id != "d7"], chunk=SPEC)
        index.remove(["d8"])
        content = file.read_bytes()
        for gone in (b"Zebedee7", b"Zebedee8", b"Secret7", b"Secret8"):
            assert gone not in content
        assert b"Zebedee9" in content
    assert [path.name for path in tmp_path.iterdir()] == ["index.db"]


def test_an_index_travels_as_bytes() -> None:
    documents = [document("a", "fee"), document("b", "card", "hr")]
    with index_of(documents) as index:
        content = index.to_bytes()
        again = from_bytes(content, embed=embed, embedder="tests")
        assert again.search(["fee"], k=3) == index.search(["fee"], k=3)
        assert again.update(documents, chunk=SPEC).unchanged == ("a", "b")
        again.close()
    with pytest.raises(DataError, match="DOC-005"):
        from_bytes(b"no index" * 200, embed=embed, embedder="tests")


def test_an_index_of_another_embedder_or_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "index.db"
    open_index(file, embed=embed, embedder="tests").close()
    with pytest.raises(DataError, match="DOC-001"):
        open_index(file, embed=embed, embedder="other")
    file.write_bytes(b"something else " * 300)
    with pytest.raises(DataError, match="DOC-005"):
        open_index(file, embed=embed, embedder="tests")


def test_what_another_process_writes_is_found(tmp_path: Path) -> None:
    file = tmp_path / "index.db"
    with (
        open_index(file, embed=embed, embedder="tests") as reader,
        open_index(file, embed=embed, embedder="tests") as writer,
    ):
        assert reader.search(["fee"], k=3) == [[]]
        writer.update([document("a", "fee")], chunk=SPEC)
        assert ids(reader.search(["fee"], k=3)[0]) == ["a#1"]


def test_an_update_that_is_killed_leaves_an_index_that_is_searched_and_goes_on(
    tmp_path: Path,
) -> None:
    file = tmp_path / "index.db"
    old = [document(f"d{n}", f"old fee {n} " * 20) for n in range(300)]
    new = [document(f"d{n}", f"new card {n} " * 20) for n in range(300)]
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from freehold.data.chunk import ChunkSpec
        from freehold.data.documents import Document
        from freehold.retrieve.index import open_index
        from tests.retrieve.meaning import embed

        def slow(texts):
            print("embedding", flush=True)
            return embed(texts)

        index = open_index(Path(sys.argv[1]), embed=slow, embedder="tests")
        documents = [Document(id=f"d{n}", title="", text=f"new card {n} " * 20) for n in range(300)]
        index.update(documents, chunk=ChunkSpec(size=60))
        """
    )
    with open_index(file, embed=embed, embedder="tests") as index:
        index.update(old, chunk=SPEC)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    for wait in (0.0, 0.01, 0.03):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with open_index(file, embed=embed, embedder="tests") as index:
            (found,) = index.search(["old new fee card"], k=10_000, how="meaning")
            for before, after in zip(old, new, strict=True):
                texts = {one.passage.text for one in found if one.passage.document_id == before.id}
                given = [{p.text for p in chunk(one, SPEC)} for one in (before, after)]
                assert texts in given
    counting = Counting()
    with open_index(file, embed=counting, embedder="tests") as index:
        index.update(new, chunk=SPEC)
        assert index.update(new, chunk=SPEC).unchanged == tuple(one.id for one in new)
        assert ids(index.search(["old"], k=3, how="words")[0]) == []
