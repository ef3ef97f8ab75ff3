from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.data.chunk import ChunkSpec, chunk
from freehold.data.documents import Document, Passage

LINES = st.sampled_from(
    (
        *(
            "",
            "",
            "# One",
            "## Two two",
            "### Three",
            "Fees",
            "====",
            "----",
            "ALL CAPITALS",
            "3.2 Fees",
        ),
        *(
            "```",
            "```python",
            "x = 1",
            "    indented code",
            "\tcode",
            "- item",
            "* other item",
            "1. first",
        ),
        *(
            "  more of an item",
            "| a | b |",
            "|---|---|",
            "| 1 | 2 |",
            "a | b",
            "é 漢字。漢字",
            "one. two! three?",
        ),
        *("a word " * 9, "w" * 60, " \t ", "~~~", "Title\r", "\x0b\x85"),
    )
)
TEXTS = st.lists(LINES, max_size=25).map("\n".join) | st.text(max_size=120)
SPECS = st.integers(1, 90).flatmap(
    lambda size: st.builds(ChunkSpec, size=st.just(size), overlap=st.integers(0, size // 2))
)


def cut(text: str, size: int, overlap: int = 0, *, title: str = "") -> tuple[Passage, ...]:
    return chunk(Document(id="d", title=title, text=text), ChunkSpec(size=size, overlap=overlap))


@given(text=TEXTS, spec=SPECS)
def test_passages_cover_the_text_in_order_and_stand_where_they_say(
    text: str, spec: ChunkSpec
) -> None:
    passages = chunk(Document(id="d", title="t", text=text, access=("hr",)), spec)
    assert passages == chunk(Document(id="d", title="t", text=text, access=("hr",)), spec)
    covered = [False] * len(text)
    for passage in passages:
        assert 0 < len(passage.text) <= spec.size
        assert passage.text.strip()
        assert text[passage.start : passage.start + len(passage.text)] == passage.text
        assert passage.access == ("hr",)
        for place in range(passage.start, passage.start + len(passage.text)):
            covered[place] = True
    assert all(seen or letter.isspace() for seen, letter in zip(covered, text, strict=True))
    for before, after in pairwise(passages):
        end = before.start + len(before.text)
        assert after.start > before.start
        assert after.start + len(after.text) > end
        assert after.start >= end - spec.overlap
        if after.section != before.section:
            assert after.start >= end
    assert [passage.id for passage in passages] == [f"d#{n}" for n in range(1, len(passages) + 1)]


def test_a_passage_says_under_which_headings_it_stands() -> None:
    text = (
        "# Handbook\n\nIntroduction is here, and it is long enough to stand by itself.\n\n"
        "## Fees\n\nAll fees are in euros. They are charged monthly, at the end.\n\n"
        "### Transfers\n\nA transfer costs 2 euros. A transfer abroad costs 9 euros more.\n\n"
        "## Hours\n\nWe are open from nine to five, and closed on Sunday and Monday."
    )
    passages = cut(text, 120, title="Handbook")
    assert [passage.section for passage in passages] == ["", "Fees", "Fees > Transfers", "Hours"]
    assert passages[2].text.startswith("### Transfers\n\nA transfer costs 2")
    assert passages[2].whole.startswith("Handbook > Fees > Transfers\n### Transfers")


@pytest.mark.parametrize(
    "text",
    [
        "First\n=====\n\n"
        + "Some words stand here. " * 3
        + "\n\nSecond\n------\n\n"
        + "More. " * 9,
        "First\n\n" * 0 + "FIRST\n\n" + "Some words. " * 6 + "\n\n1.2 Second\n\n" + "More. " * 9,
        "=====\nFirst\n=====\n\n" + "Some words. " * 6 + "\n\nSecond\n~~~~~~\n\n" + "More. " * 9,
    ],
    ids=["underlined", "plain", "reStructuredText"],
)
def test_headings_of_other_kinds_of_text_are_seen(text: str) -> None:
    first, second = cut(text, 100)
    assert first.section.upper() == "FIRST"
    assert second.section.endswith("Second")


def test_a_table_is_cut_between_rows_and_each_part_has_its_heading() -> None:
    rows = "\n".join(f"| item {n} | {n * 10} euros |" for n in range(9))
    passages = cut(f"## Prices\n\n| what | price |\n|---|---|\n{rows}\n\nAfter it.", 90)
    assert len(passages) > 2
    assert passages[0].heading == ""
    for passage in passages[1:]:
        assert passage.heading == "| what | price |\n|---|---|"
        assert passage.text.startswith("| item")
        assert passage.section == "Prices"
    lines = {line for passage in passages for line in passage.text.split("\n") if "item" in line}
    assert lines == set(rows.split("\n"))


def test_code_is_kept_whole_where_it_fits_and_else_cut_between_lines() -> None:
    code = "```python\ndef fee():\n    # A comment. Not a sentence.\n\n    return 2\n```"
    passages = cut(f"Before it stands a sentence.\n\n{code}\n\nAfter it stands another one.", 80)
    assert [passage.text for passage in passages][1] == code
    parts = cut(code, 40)
    assert "".join(part.text for part in parts).replace("\n", "") == code.replace("\n", "")
    assert all(line in code.split("\n") for part in parts for line in part.text.split("\n"))
    assert parts[1].text.startswith("    # A comment")


def test_a_heading_in_code_is_none() -> None:
    (passage,) = cut("# Real\n\n```\n# not a heading\n```\n", 800)
    assert passage.section == "Real"


def test_lists_are_cut_between_items() -> None:
    text = "- the first item. It has two sentences\n- the second item\n  goes on here\n- third"
    assert [passage.text for passage in cut(text, 39)] == text.replace("\n- ", "\n\n- ").split(
        "\n\n"
    )


def test_paragraphs_are_kept_whole_where_they_fit_and_then_sentences() -> None:
    text = "First paragraph.\n\nSecond one.\n\n" + "A sentence. " * 10
    passages = cut(text, 40)
    assert passages[0].text == "First paragraph.\n\nSecond one."
    assert passages[1].text == "A sentence. A sentence. A sentence."


def test_an_overlap_begins_at_a_sentence() -> None:
    text = " ".join(f"This is sentence {n}." for n in range(10, 30))
    passages = cut(text, 100, 30)
    for before, after in pairwise(passages):
        assert after.text.startswith("This is sentence")
        assert after.text[:20] in before.text


def test_short_sections_are_joined_under_what_they_share() -> None:
    text = "# Top\n\n## One\n\nShort.\n\n## Two\n\nShort."
    (passage,) = cut(text, 400)
    assert passage.section == "Top"


def test_half_a_passage_is_the_most_that_may_be_repeated() -> None:
    with pytest.raises(ValueError, match="more than half"):
        ChunkSpec(size=100, overlap=51)
