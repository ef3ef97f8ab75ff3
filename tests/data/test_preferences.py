"""Preferences: every shape is read, and a row that teaches nothing says why."""

import json
from pathlib import Path

import pytest

from freehold.core.errors import DataError
from freehold.core.message import assistant, system, user
from freehold.core.preference import JudgedAnswer, PreferencePair
from freehold.data.preferences import (
    LABEL_UNCLEAR,
    NEITHER,
    NO_LABEL,
    NO_PROMPT,
    NOT_TURNS,
    SAME,
    PreferenceReading,
    read_preferences,
)


def reading(root: Path, *rows: object) -> PreferenceReading:
    (root / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_preferences("p.jsonl", root=root)


GOOD = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5"}


def test_a_pair_of_texts_is_read_with_its_place(tmp_path: Path) -> None:
    (found,) = reading(tmp_path, GOOD).preferences
    assert found == PreferencePair(
        prompt=(user("2 + 2?"),), chosen="4", rejected="5", source="p.jsonl", row=1
    )


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    "row",
    [
        {
            "prompt": [turn("system", "Count."), turn("user", "2 + 2?")],
            "chosen": [turn("assistant", "4")],
            "rejected": [turn("assistant", "5")],
        },
        {
            "chosen": [turn("system", "Count."), turn("user", "2 + 2?"), turn("assistant", "4")],
            "rejected": [turn("system", "Count."), turn("user", "2 + 2?"), turn("assistant", "5")],
        },
        {
            "input": {"messages": [turn("system", "Count."), turn("user", "2 + 2?")]},
            "preferred_output": [turn("assistant", "4")],
            "non_preferred_output": [turn("assistant", "5")],
        },
        {
            "conversations": [{"from": "human", "value": "2 + 2?"}],
            "system": "Count.",
            "chosen": {"from": "gpt", "value": "4"},
            "rejected": {"from": "gpt", "value": "5"},
        },
        {
            "instruction": "2 + 2?",
            "input": "",
            "system": "Count.",
            "chosen": "4",
            "rejected": "5",
        },
    ],
    ids=["TRL", "TRL without a prompt", "OpenAI", "ShareGPT", "Alpaca"],
)
def test_pairs_of_chats_give_the_turns_before_the_answers(
    tmp_path: Path, row: dict[str, object]
) -> None:
    (found,) = reading(tmp_path, row).preferences
    assert isinstance(found, PreferencePair)
    assert found.prompt == (system("Count."), user("2 + 2?"))
    assert (found.chosen, found.rejected) == ("4", "5")


@pytest.mark.parametrize(
    ("label", "is_good"),
    [(True, True), (False, False), (1, True), (0, False), ("true", True), ("Bad", False)],
)
def test_a_judged_answer_is_good_or_bad(tmp_path: Path, label: object, is_good: bool) -> None:
    (found,) = reading(tmp_path, {"prompt": "2?", "completion": "4", "label": label}).preferences
    assert isinstance(found, JudgedAnswer)
    assert (found.answer, found.is_good) == ("4", is_good)


def test_a_judgement_in_a_table_is_read_from_text(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt,answer,label\nq,a,true\nq,b,false\n")
    found = read_preferences("p.csv", root=tmp_path).preferences
    assert [one.is_good for one in found if isinstance(one, JudgedAnswer)] == [True, False]


def test_a_json_answer_becomes_its_text(tmp_path: Path) -> None:
    (found,) = reading(
        tmp_path, {"prompt": "q", "chosen": {"n": 1}, "rejected": {"n": 2}}
    ).preferences
    assert isinstance(found, PreferencePair)
    assert found.chosen == '{"n": 1}'


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**GOOD, "rejected": " 4 "}, SAME),
        ({"prompt": "q", "completion": "4"}, NO_LABEL),
        ({"prompt": "q", "completion": "4", "label": ""}, NO_LABEL),
        ({"prompt": "q", "completion": "4", "label": "perhaps"}, LABEL_UNCLEAR),
        ({"chosen": "4", "rejected": "5"}, NO_PROMPT),
        ({**GOOD, "prompt": "  "}, NO_PROMPT),
        ({**GOOD, "prompt": [turn("user", "q"), turn("assistant", "a")]}, NOT_TURNS),
        ({**GOOD, "chosen": [turn("tool", "4")]}, NOT_TURNS),
        ({"prompt": "q", "chosen": "4"}, NEITHER),
        (["no", "object"], "not a JSON object"),
    ],
)
def test_a_row_that_teaches_nothing_is_left_out_with_its_reason(
    tmp_path: Path, row: object, reason: str
) -> None:
    found = reading(tmp_path, GOOD, row)
    assert len(found.preferences) == 1
    assert [(drop.row, drop.reason) for drop in found.drops] == [(2, reason)]


def test_where_no_row_can_be_used_the_error_lists_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        reading(tmp_path, {**GOOD, "rejected": "4"}, {"prompt": "q", "completion": "4"})
    problem = caught.value.problems[0]
    assert problem.code == "DAT-027"
    assert "none of the 2 rows" in problem.message
    assert set(problem.cause) == {f"1 × {SAME} (row 1)", f"1 × {NO_LABEL} (row 2)"}


def test_the_turn_of_an_answer_may_stand_alone(tmp_path: Path) -> None:
    turns = [turn("user", "q"), turn("assistant", "a"), turn("user", "again?")]
    (found,) = reading(tmp_path, {**GOOD, "prompt": turns}).preferences
    assert found.prompt == (user("q"), assistant("a"), user("again?"))


def test_transcripts_share_their_prompt(tmp_path: Path) -> None:
    before = "\n\nHuman: 2 + 2?\n\nAssistant: 5\n\nHuman: Sure?\n\nAssistant:"
    (found,) = reading(tmp_path, {"chosen": f"{before} 4", "rejected": f"{before} 5"}).preferences
    assert isinstance(found, PreferencePair)
    assert found.prompt == (user("2 + 2?"), assistant("5"), user("Sure?"))
    assert (found.chosen, found.rejected) == ("4", "5")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [turn("user", "2?"), turn("assistant", "4")], "label": True},
        {
            "conversations": [{"from": "human", "value": "2?"}, {"from": "gpt", "value": "4"}],
            "kto_tag": True,
        },
        {"prompt": [turn("user", "2?")], "completion": [turn("assistant", "4")], "label": True},
        {"instruction": "2?", "output": "4", "kto_tag": "true"},
    ],
    ids=["OpenAI", "ShareGPT", "TRL", "Alpaca"],
)
def test_a_judged_answer_is_read_from_every_shape(tmp_path: Path, row: dict[str, object]) -> None:
    (found,) = reading(tmp_path, row).preferences
    assert found == JudgedAnswer(
        prompt=(user("2?"),), answer="4", is_good=True, source="p.jsonl", row=1
    )


def test_tools_are_written_out_as_in_examples(tmp_path: Path) -> None:
    call = {"function": {"name": "add", "arguments": "{}"}}
    row = {
        "input": {"messages": [turn("user", "2 + 2?")], "tools": [{"function": {"name": "add"}}]},
        "preferred_output": [{"role": "assistant", "tool_calls": [call]}],
        "non_preferred_output": [turn("assistant", "5")],
    }
    (found,) = reading(tmp_path, row).preferences
    assert isinstance(found, PreferencePair)
    assert "<tools>" in found.prompt[0].content
    assert found.chosen == '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
