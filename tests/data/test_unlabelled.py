import json
from pathlib import Path

import pytest

from freehold.core.errors import DataError
from freehold.core.sections import Columns
from freehold.data.unlabelled import read_unlabelled


def write(folder: Path, *rows: object, name: str = "inbox.jsonl") -> str:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (folder / name).write_text(text, encoding="utf-8")
    return name


def test_rows_without_a_target_are_read_with_their_context_and_other_columns(
    tmp_path: Path,
) -> None:
    name = write(
        tmp_path,
        {"id": "t1", "text": "hello", "context": ["one", "two"], "language": "en"},
        {"text": "again", "label": ""},
        {"text": "known", "label": "greeting"},
        {"text": ""},
        "{broken",
    )
    found = read_unlabelled(name, columns=Columns(), root=tmp_path)
    assert [(e.input, e.target, e.context) for e in found.examples] == [
        ("hello", None, "one\n\ntwo"), ("again", None, None), ("known", "greeting", None),
    ]  # fmt: skip
    assert found.examples[0].id == "t1"
    assert found.examples[0].fields == {"language": "en"}
    assert [(drop.row, drop.reason) for drop in found.drops] == [
        (4, "empty input"), (5, "invalid JSON"),
    ]  # fmt: skip
    assert found.sources[0].rows == 5


def test_a_chat_that_ends_with_the_user_asks_for_an_answer(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    answered = [*turns, {"role": "assistant", "content": "Because."}]
    name = write(tmp_path, {"messages": turns}, {"messages": answered})
    asking, known = read_unlabelled(name, columns=Columns(), root=tmp_path).examples
    assert (asking.input, asking.target) == ("Why?", None)
    assert (known.input, known.target) == ("Why?", "Because.")
    assert [turn.content for turn in asking.history] == ["Be brief."]


def test_the_columns_of_the_task_are_used_where_the_file_has_them(tmp_path: Path) -> None:
    columns = Columns(input=("subject", "body"), target="queue")
    name = write(tmp_path, {"subject": "Hi", "body": "Help"})
    (first,) = read_unlabelled(name, columns=columns, root=tmp_path).examples
    assert (first.input, first.target) == ("subject: Hi\nbody: Help", None)
    other = write(tmp_path, {"text": "Help"}, name="other.jsonl")
    (second,) = read_unlabelled(other, columns=columns, root=tmp_path).examples
    assert second.input == "Help"


def test_rows_without_ids_are_named_by_what_they_ask_and_repeats_are_told_apart(
    tmp_path: Path,
) -> None:
    name = write(tmp_path, {"text": "a"}, {"text": "a"}, {"text": "b"})
    ids = [e.id for e in read_unlabelled(name, columns=Columns(), root=tmp_path).examples]
    assert len(set(ids)) == 3
    assert ids[1] == f"{ids[0]}-2"


@pytest.mark.parametrize("row", [{"colour": "red"}, {"text": None}, [1, 2]])
def test_a_file_without_inputs_is_refused_with_its_columns(tmp_path: Path, row: object) -> None:
    with pytest.raises(DataError, match="DAT-101") as caught:
        read_unlabelled(write(tmp_path, row), columns=Columns(), root=tmp_path)
    assert "data.columns.input" in caught.value.problems[0].help
