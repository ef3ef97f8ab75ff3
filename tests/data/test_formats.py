from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from freehold.core.errors import DataError
from freehold.core.message import Message
from freehold.core.sections import Columns
from freehold.data.formats import (
    FORMATS,
    HISTORY_NOT_TURNS,
    NO_EQUALS,
    SEVERAL_ANSWERS,
    SEVERAL_VALUES,
    recognise,
)
from freehold.data.read import Reading, read
from freehold.data.turns import NO_USER

USER: dict[str, JsonValue] = {"role": "user", "content": "Q"}
BOT: dict[str, JsonValue] = {"role": "assistant", "content": "A"}


def read_rows(folder: Path, *rows: dict[str, JsonValue]) -> Reading:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "x.jsonl").write_text(text, encoding="utf-8")
    return read("x.jsonl", columns=Columns(), root=folder)


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"input": "Q", "target": "A"}, "input/target"),
        ({"text": "Q", "label": "A"}, "text/label"),
        ({"Text": "Q", "Label": "A"}, "Text/Label"),
        ({"question": "Q", "answer": "A"}, "question/answer"),
        ({"prompt": "Q", "completion": "A"}, "prompt/completion"),
        ({"instruction": "Q", "input": "", "output": "A"}, "instruction/input/output"),
        ({"messages": [USER, BOT]}, "OpenAI messages"),
        ({"prompt": [USER], "completion": [BOT]}, "prompt/completion turns"),
        ({"prompt": [USER], "completion": "A"}, "prompt/completion turns"),
        ({"prompt": "Q", "completion": [BOT]}, "prompt/completion turns"),
        ({"input": [USER], "target": "A"}, "input/target"),
        (
            {"vars": {"question": "Q"}, "assert": [{"type": "equals", "value": "A"}]},
            "promptfoo tests",
        ),
        (
            {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
            "ShareGPT conversations",
        ),
        ({"text": "Q", "queue": "A", "product": "p", "channel": "c"}, "text/queue"),
        ({"sentence": "Q", "sentiment": "A", "id": 1}, "sentence/sentiment"),
        ({"text": "Q", "label": "A", "category": "other"}, "text/label"),
    ],
)
def test_every_shape_is_recognised_and_taken_apart(
    tmp_path: Path, row: dict[str, JsonValue], name: str
) -> None:
    found = read_rows(tmp_path, row)
    assert found.format == name
    assert [(e.input, e.target, e.context, e.history) for e in found.examples] == [
        ("Q", "A", None, ())
    ]


def test_all_formats_of_the_mapping_are_reached() -> None:
    rows: list[dict[str, JsonValue]] = [
        {"input": "Q", "target": "A", "freehold": {"source": "x"}},
        {"messages": []},
        {"conversations": [{"from": "human", "value": "Q"}]},
        {"prompt": [dict(USER)], "completion": [dict(BOT)]},
        {"vars": {"q": "Q"}, "assert": []},
        {"instruction": "Q", "output": "A"},
        {"text": "Q", "label": "A"},
    ]
    for (_, function), row in zip(FORMATS.items(), rows, strict=True):
        assert function(row) is not None
        assert function({"alpha": 1}) is None


def test_two_possible_targets_are_not_guessed() -> None:
    assert recognise({"text": "Q", "intent": "A", "topic": "B"}, Columns()) is None
    assert recognise({"text": "only text"}, Columns()) is None


def test_a_context_is_taken_and_paragraphs_are_joined(tmp_path: Path) -> None:
    found = read_rows(
        tmp_path,
        {"question": "Q", "answer": "A", "context": ["one", "two"]},
        {"question": "Q2", "answer": "A", "context": ""},
        {"question": "Q3", "answer": "A", "context": [1]},
    )
    assert [e.context for e in found.examples] == ["one\n\ntwo", None]
    assert [(d.row, d.reason) for d in found.drops] == [(3, "the context is not text")]


def test_chats_keep_their_earlier_turns(tmp_path: Path) -> None:
    system = {"role": "developer", "content": "Be kind."}
    parts: dict[str, JsonValue] = {"role": "user", "content": [{"type": "text", "text": "Q2"}]}
    turns: list[JsonValue] = [{**system}, dict(USER), dict(BOT), parts, dict(BOT)]
    example = read_rows(tmp_path, {"messages": turns}).examples[0]
    assert (example.input, example.target) == ("Q2", "A")
    assert example.history == (
        Message(role="system", content="Be kind."),
        Message(role="user", content="Q"),
        Message(role="assistant", content="A"),
    )


def test_alpaca_joins_the_instruction_with_its_input_and_keeps_the_history(tmp_path: Path) -> None:
    row: dict[str, JsonValue] = {
        "instruction": "Translate.",
        "input": "chat",
        "output": "cat",
        "system": "You know French.",
        "history": [["chien", "dog"]],
    }
    example = read_rows(tmp_path, row).examples[0]
    assert example.input == "Translate.\n\nchat"
    assert [turn.content for turn in example.history] == ["You know French.", "chien", "dog"]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([USER], "no assistant turn"),
        ([], "no assistant turn"),
        ("text", "not a list of turns"),
        ([BOT], "no user turn before the assistant's"),
        ([USER, BOT, USER], "the last turn is not the assistant's"),
        ([USER, {"role": "robot", "content": "x"}, BOT], "a turn that is no text"),
        ([USER, {"role": "assistant", "content": None}], "a turn that is no text"),
        ([USER, {**BOT, "weight": 0}], "the last answer has weight 0"),
        ([USER, {"role": "assistant", "content": " "}], "an empty turn"),
        (["x"], "not a list of turns"),
    ],
)
def test_chats_that_cannot_be_used_are_dropped_with_a_reason(
    tmp_path: Path, turns: JsonValue, reason: str
) -> None:
    found = read_rows(tmp_path, {"messages": [dict(USER), dict(BOT)]}, {"messages": turns})
    assert [(drop.row, drop.reason) for drop in found.drops] == [(2, reason)]


def test_earlier_turns_may_stand_beside_a_pair(tmp_path: Path) -> None:
    turns: list[JsonValue] = [{"role": "system", "content": "Be kind."}, dict(USER), dict(BOT)]
    found = read_rows(
        tmp_path,
        {"input": "Q2", "target": "A2", "history": turns},
        {"input": "Q3", "target": "A3", "history": [["Q", "A"]]},
        {"input": "Q4", "target": "A4", "history": "said before"},
        {"input": [*turns, {"role": "user", "content": "Q5"}], "target": "A5"},
        {"input": [dict(BOT)], "target": "A6"},
    )
    asked = [(e.input, [turn.content for turn in e.history]) for e in found.examples]
    assert asked == [
        ("Q2", ["Be kind.", "Q", "A"]),
        ("Q3", ["Q", "A"]),
        ("Q5", ["Be kind.", "Q", "A"]),
    ]
    assert [(drop.row, drop.reason) for drop in found.drops] == [
        (3, HISTORY_NOT_TURNS),
        (5, NO_USER),
    ]


def test_a_column_called_history_that_holds_text_stays_a_column(tmp_path: Path) -> None:
    found = read_rows(tmp_path, {"text": "Q", "label": "A", "history": "bought twice"})
    assert found.examples[0].fields == {"history": "bought twice"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"vars": {"q": "Q"}, "assert": [{"type": "contains", "value": "A"}]}, NO_EQUALS),
        ({"vars": {"q": "Q"}, "assert": []}, NO_EQUALS),
        ({"vars": {"q": ["Q", "R"]}, "assert": [{"type": "equals", "value": "A"}]}, SEVERAL_VALUES),
        ({"vars": {}, "assert": [{"type": "equals", "value": "A"}]}, "no input"),
        (
            {
                "vars": {"q": "Q"},
                "assert": [{"type": "equals", "value": "A"}, {"type": "equals", "value": "B"}],
            },
            SEVERAL_ANSWERS,
        ),
    ],
)
def test_tests_of_promptfoo_need_one_wanted_answer(
    tmp_path: Path, row: dict[str, JsonValue], reason: str
) -> None:
    good: dict[str, JsonValue] = {
        "vars": {"question": "Q", "context": "The passage.", "tone": "kind"},
        "assert": [{"type": "latency", "threshold": 5}, {"type": "equals", "value": "A"}],
        "description": "a test",
    }
    found = read_rows(tmp_path, good, row)
    (example,) = found.examples
    assert example.input == "question: Q\ntone: kind"
    assert (example.context, example.target) == ("The passage.", "A")
    assert example.fields == {"description": "a test"}
    assert [(drop.row, drop.reason) for drop in found.drops] == [(2, reason)]


@pytest.mark.parametrize(
    ("row", "code", "word"),
    [
        ({"prompt": "p", "chosen": "a", "rejected": "b"}, "DAT-017", "better"),
        (
            {"conversations": [], "chosen": {"from": "gpt"}, "rejected": {"from": "gpt"}},
            "DAT-017",
            "better",
        ),
        ({"input": {"messages": []}, "preferred_output": []}, "DAT-017", "better"),
        ({"messages": [USER, BOT], "kto_tag": True}, "DAT-017", "rated"),
        ({"prompt": "p", "completions": ["a"], "labels": [True]}, "DAT-017", "steps"),
        ({"text": "only text"}, "DAT-043", "no wanted answer"),
        ({"id": 4, "text": "only text", "meta": {}}, "DAT-043", "no wanted answer"),
    ],
)
def test_rows_without_one_wanted_answer_are_refused_with_the_reason(
    tmp_path: Path, row: dict[str, JsonValue], code: str, word: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path, row)
    problem = caught.value.problems[0]
    assert (problem.code, word in problem.message) == (code, True)
    assert problem.help
