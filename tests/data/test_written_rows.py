"""Files that Freehold writes give the same examples back, and stand beside the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from freehold.core.errors import DataError
from freehold.core.message import Message
from freehold.core.sections import Columns
from freehold.core.snapshot import Example, Origin, Synthetic
from freehold.data.derived import with_step, write_examples
from freehold.data.read import read

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SPOKEN = TEXT.filter(lambda text: text.strip() != "")
JSON_TARGET: st.SearchStrategy[JsonValue] = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
COLUMN = st.sampled_from(
    [
        "ID",
        "messages",
        "instruction",
        "output",
        "chosen",
        "rejected",
        "vars",
        "text",
        "label",
        "note",
    ]
)


@st.composite
def an_example(draw: st.DrawFn, number: int) -> Example:
    example = Example(
        id=f"row-{number}{draw(TEXT)}",
        input=draw(SPOKEN),
        target=draw(JSON_TARGET.filter(lambda target: target != "")),
        context=draw(st.none() | TEXT),
        history=tuple(
            Message.model_validate({"role": role, "content": text})
            for role, text in draw(
                st.lists(
                    st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=3
                )
            )
        ),
        source="tickets.csv",
        row=number,
        fields=draw(st.dictionaries(COLUMN, TEXT, max_size=3)),
        origin=draw(
            st.builds(
                Origin,
                source=TEXT,
                row=st.integers(0, 9),
                steps=st.tuples(TEXT),
                synthetic=st.none() | st.builds(Synthetic, method=TEXT, seed=st.integers(0, 9)),
            )
        ),
    )
    return with_step(example, draw(TEXT))


EXAMPLES = st.integers(1, 4).flatmap(
    lambda count: st.tuples(*(an_example(number) for number in range(1, count + 1)))
)


@settings(max_examples=150)
@given(examples=EXAMPLES)
def test_what_freehold_wrote_is_read_back_the_same(examples: tuple[Example, ...]) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        written = write_examples(examples, root / "data/clean.jsonl", root=root)
        found = read("data/clean.jsonl", columns=Columns(), root=root)
    assert found.drops == ()
    assert found.sources == (written.source,)
    assert found.examples == tuple(
        example.model_copy(update={"source": "data/clean.jsonl", "row": number})
        for number, example in enumerate(examples, 1)
    )


def test_a_file_of_freehold_stands_beside_a_file_with_other_columns(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("subject,team,key\nWhere is it?,red,k1\nHow much?,blue,k2\n")
    columns = Columns(input="subject", target="team", id="key")
    first = read("own.csv", columns=columns, root=tmp_path)
    more = [
        with_step(e.model_copy(update={"id": f"{e.id}-typos"}), "typos") for e in first.examples
    ]
    write_examples(more, tmp_path / "more.jsonl", root=tmp_path)
    both = read(("own.csv", "more.jsonl"), columns=columns, root=tmp_path)
    assert [(e.id, e.input, e.target) for e in both.examples] == [
        ("k1", "Where is it?", "red"),
        ("k2", "How much?", "blue"),
        ("k1-typos", "Where is it?", "red"),
        ("k2-typos", "How much?", "blue"),
    ]
    assert both.format == "subject/team"
    assert both.columns == first.columns
    assert both.examples[2].origin == Origin(source="own.csv", row=2, steps=("typos",))
    # the file of Freehold may come first, and alone
    turned = read(("more.jsonl", "own.csv"), columns=columns, root=tmp_path)
    assert turned.format == "subject/team"
    assert read("more.jsonl", columns=columns, root=tmp_path).format == "input/target"


def test_text_answers_of_a_written_file_are_not_parsed_again(tmp_path: Path) -> None:
    example = Example(id="a", input="Q", target='{"n": 1}', source="x.jsonl", row=1)
    write_examples([with_step(example, "clean")], tmp_path / "y.jsonl", root=tmp_path)
    found = read("y.jsonl", columns=Columns(), root=tmp_path)
    assert found.examples[0].target == '{"n": 1}'


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input": " "}, "empty input"),
        ({"input": 5}, "the input is not text"),
        ({"input": None}, "no input"),
        ({"target": None}, "no target"),
        ({"history": 5}, "the history is not a list of turns, or of question and answer"),
    ],
)
def test_a_written_row_that_was_broken_by_hand_says_why(
    tmp_path: Path, change: dict[str, JsonValue], reason: str
) -> None:
    example = with_step(Example(id="a", input="Q", target="A", source="x", row=1), "clean")
    path = write_examples([example], tmp_path / "y.jsonl", root=tmp_path).path
    broken = json.loads(path.read_text()) | change
    path.write_text(path.read_text() + json.dumps({**broken, "id": "b"}) + "\n")
    found = read("y.jsonl", columns=Columns(), root=tmp_path)
    assert [(drop.row, drop.reason) for drop in found.drops] == [(2, reason)]


def test_a_written_file_of_nothing_but_broken_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "y.jsonl").write_text('{"input": "", "target": "A", "freehold": {"source": "x"}}\n')
    with pytest.raises(DataError, match="DAT-010"):
        read("y.jsonl", columns=Columns(), root=tmp_path)
