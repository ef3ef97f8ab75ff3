import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from freehold.core.errors import DataError, MachineError
from freehold.core.message import user
from freehold.core.sections import Columns
from freehold.core.snapshot import Example
from freehold.data.labelling import (
    Act,
    Decision,
    DecisionLog,
    Suggestion,
    corrected_rows,
    disputed_rows,
    doubt,
    export,
    item_key,
    items_of,
    labelled_rows,
    ordered,
    progress,
    queue_of,
    read_decisions,
    standing,
    state_of,
    votes,
)
from freehold.data.read import read


def row(text: str, target: JsonValue = None, number: int = 1) -> Example:
    return Example(id=f"r{number}", input=text, target=target, source="in.jsonl", row=number)


ROWS = tuple(row(text, number=n) for n, text in enumerate("abcdef", start=1))
ITEMS = items_of(ROWS)
A, B, C, D, E, F = (item.key for item in ITEMS)


def decided(*steps: tuple[str, str, Act, JsonValue]) -> tuple[Decision, ...]:
    """Decisions from labeller, item, act and answer; of an undo the answer is the number it takes back."""
    return tuple(
        Decision(
            number=number,
            at="2026-01-01T00:00:00+00:00",
            labeller=labeller,
            item=item,
            act=act,
            answer=None if act == "undo" else answer,
            undoes=answer if act == "undo" and isinstance(answer, int) else None,
        )
        for number, (labeller, item, act, answer) in enumerate(steps, start=1)
    )


def test_rows_that_ask_the_same_are_one_item_and_context_and_history_are_part_of_what_is_asked() -> (
    None
):
    with_context = row("a").model_copy(update={"context": "page 3"})
    with_history = row("a").model_copy(update={"history": (user("hello"),)})
    items = items_of((row("a", "x"), row("a", "y", 2), with_context, with_history))
    assert [(item.given, item.rows) for item in items] == [("x", 2), (None, 1), (None, 1)]
    assert item_key(row("a", "x")) == item_key(row("a", "y"))


def test_an_answer_belongs_to_accept_and_edit_alone() -> None:
    for act, answer in (("accept", None), ("skip", "x"), ("undo", None)):
        with pytest.raises(ValidationError):
            decided(("ann", A, act, answer))  # pyright: ignore[reportArgumentType]


def test_an_undo_brings_back_what_stood_before_and_touches_nobody_else() -> None:
    steps = [
        ("ann", A, "accept", "x"),
        ("ben", A, "edit", "y"),
        ("ann", A, "edit", "z"),
        ("ann", A, "undo", 3),
    ]
    now = standing(decided(*steps))  # pyright: ignore[reportArgumentType]
    assert now.answers(A) == {"ann": "x", "ben": "y"}
    now = standing(decided(*steps, ("ann", A, "undo", 1)))  # pyright: ignore[reportArgumentType]
    assert now.answers(A) == {"ben": "y"}
    assert now.last("ann") is None


def edited(who: str, item: str, answer: str) -> tuple[str, str, Act, JsonValue]:
    return who, item, "edit", answer


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "ben"]),
            st.sampled_from([A, B, C]),
            st.text("xy", min_size=1, max_size=1),
        ),
        max_size=12,
    )
)
def test_undoing_everything_leaves_nothing_and_undoing_the_last_is_as_if_it_had_not_been(
    steps: Sequence[tuple[str, str, str]],
) -> None:
    log = list(decided(*(edited(*step) for step in steps)))
    if not log:
        return
    last = log[-1]
    undo = last.model_copy(
        update={"number": len(log) + 1, "act": "undo", "answer": None, "undoes": last.number}
    )
    assert standing([*log, undo]).by_item == standing(log[:-1]).by_item
    for decision in list(reversed(log)):
        log.append(
            decision.model_copy(
                update={
                    "number": len(log) + 1,
                    "act": "undo",
                    "answer": None,
                    "undoes": decision.number,
                }
            )
        )
    assert standing(log).by_item == {}


def test_progress_counts_each_item_once_and_a_flag_outweighs_answers() -> None:
    now = standing(
        decided(
            ("ann", A, "accept", "x"),
            ("ben", A, "accept", "x"),
            ("ann", B, "accept", "x"),
            ("ben", B, "edit", "y"),
            ("ann", C, "flag", None),
            ("ben", C, "accept", "x"),
            ("ann", D, "skip", None),
            ("ann", E, "skip", None),
            ("ben", E, "accept", "y"),
        )
    )
    found = progress(now, ITEMS)
    assert found.model_dump() == {
        "total": 6, "done": 5, "agreed": 2, "disputed": 1, "flagged": 1, "skipped": 1,
    }  # fmt: skip
    assert [state_of(now, key) for key in (D, E, F)] == ["skipped", "agreed", "waiting"]
    assert votes(now, ITEMS) == {
        A: {"ann": "x", "ben": "x"}, B: {"ann": "x", "ben": "y"}, C: {"ben": "x"}, E: {"ben": "y"},
    }  # fmt: skip


def test_json_answers_are_compared_by_value() -> None:
    now = standing(
        decided(("ann", A, "edit", {"q": 1, "r": [2]}), ("ben", A, "edit", {"r": [2], "q": 1}))
    )
    assert state_of(now, A) == "agreed"


# The queue ------------------------------------------------------------------------------------


def said(answer: str, probability: float | None) -> Suggestion:
    return Suggestion(answer=answer, by="m", probability=probability)


def test_the_least_sure_suggestion_comes_first_and_rows_without_one_behind() -> None:
    suggestions = {A: said("x", 0.9), B: said("x", 0.4), C: said("y", 0.7), D: said("y", None)}
    order = [item.key for item in ordered(ITEMS, suggestions)]
    assert order[:3] == [B, C, A]
    assert set(order[3:]) == {D, E, F}


def test_a_row_whose_answer_a_sure_model_doubts_comes_before_one_it_confirms() -> None:
    (item,) = items_of([row("a", "billing")])
    assert doubt(item, said("refunds", 0.9)) == 0.9
    assert doubt(item, said("billing", 0.9)) == pytest.approx(0.1)
    assert doubt(item, said("refunds", 0.2)) == 0.8
    assert doubt(item, said("refunds", None)) is None
    assert doubt(item, None) is None


@given(st.permutations(ROWS))
def test_the_random_order_is_fixed_and_does_not_depend_on_the_order_of_the_rows(
    rows: list[Example],
) -> None:
    order = [item.key for item in ordered(items_of(rows), {})]
    assert order == [item.key for item in ordered(ITEMS, {})]
    assert order != [item.key for item in ordered(ITEMS, {}, seed=8)]


def test_a_second_labeller_meets_what_the_first_has_answered_first_and_nothing_twice() -> None:
    now = standing(
        decided(
            ("ann", C, "accept", "x"),
            ("ann", D, "skip", None),
            ("ann", E, "accept", "x"),
            ("ben", E, "accept", "x"),
        )
    )
    assert [item.key for item in queue_of("ben", ITEMS, now)] == [C, A, B, D, F]
    assert [item.key for item in queue_of("ann", ITEMS, now)] == [A, B, F]


# The log --------------------------------------------------------------------------------------


def test_the_log_is_read_back_and_a_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "decisions.jsonl"
    first, second, third = decided(
        ("ann", A, "edit", {"q": "ä"}), ("ann", B, "skip", None), ("ann", B, "undo", 2)
    )
    with DecisionLog(path) as log:
        log.append(first)
        log.append(second)
    path.write_bytes(path.read_bytes() + b'{"number":3,"at":"2026')
    assert read_decisions(path) == (first, second)
    with DecisionLog(path) as log:
        assert log.decisions == (first, second)
        log.append(third)
    assert read_decisions(path) == (first, second, third)


@pytest.mark.parametrize(
    ("content", "line"),
    [("no json\n", 1), ('{"number":2}\n', 1), ("{good}\n{good}\n", 2)],
)
def test_a_log_that_is_damaged_in_the_middle_is_refused_with_the_line(
    tmp_path: Path, content: str, line: int
) -> None:
    path = tmp_path / "decisions.jsonl"
    (good,) = decided(("ann", A, "skip", None))
    path.write_text(content.replace("{good}", good.model_dump_json()))
    with pytest.raises(DataError, match="DAT-100") as caught:
        DecisionLog(path)
    where = caught.value.problems[0].where
    assert where is not None
    assert where.line == line


def test_a_line_that_was_forgotten_leaves_a_gap_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    with DecisionLog(path) as log:
        for one in decided(
            ("ann", A, "skip", None), ("ann", A, "skip", None), ("ann", A, "skip", None)
        ):
            log.append(one)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with DecisionLog(path) as log:
        assert [one.number for one in log.decisions] == [1, 3]
        assert log.next_number == 4
    path.write_bytes(lines[2] + lines[0])
    with pytest.raises(DataError, match="after 3"):
        DecisionLog(path)


def test_one_process_writes_to_a_log_and_others_read_it_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    (first,) = decided(("ann", A, "skip", None))
    with DecisionLog(path) as log:
        log.append(first)
        with pytest.raises(MachineError, match="DAT-102"):
            DecisionLog(path)
        assert read_decisions(path) == (first,)
    with DecisionLog(path) as log:
        assert log.decisions == (first,)


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    code = f"""
import sys
from pathlib import Path
from freehold.data.labelling import Decision, DecisionLog
log = DecisionLog(Path({str(path)!r}))
for number in range(1, 100_000):
    log.append(Decision(number=number, at="t", labeller="ann", item="i", act="skip", note="x" * 900))
    print(number, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(40)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    assert len(read_decisions(path)) >= acknowledged[-1] >= 40


# Export ---------------------------------------------------------------------------------------


def test_agreed_rows_are_exported_with_who_answered_and_read_back_as_examples(
    tmp_path: Path,
) -> None:
    rows = (*ROWS, row("a", number=7))
    now = standing(
        decided(
            ("ann", A, "accept", "x"),
            ("ben", A, "edit", "x"),
            ("ann", B, "edit", "y"),
            ("ann", C, "edit", "x"),
            ("ben", C, "edit", "y"),
            ("ann", D, "flag", None),
        )
    )
    found = export(
        answered=labelled_rows(rows, now),
        disputed=disputed_rows(rows, now),
        path=tmp_path / "data/labels.jsonl",
        root=tmp_path,
    )
    assert (found.rows, found.disputed_rows) == (3, 2)
    reading = read("data/labels.jsonl", columns=Columns(), root=tmp_path)
    assert [(e.id, e.input, e.target) for e in reading.examples] == [
        ("r1", "a", "x"), ("r2", "b", "y"), ("r7", "a", "x"),
    ]  # fmt: skip
    origins = [example.origin for example in reading.examples]
    assert [(o.source, o.row, o.steps) for o in origins if o is not None] == [
        ("in.jsonl", 1, ("label: 'x' by ann and ben",)),
        ("in.jsonl", 2, ("label: 'y' by ann",)),
        ("in.jsonl", 7, ("label: 'x' by ann and ben",)),
    ]
    assert found.disputed is not None
    apart = [json.loads(line) for line in found.disputed.read_text().splitlines()]
    assert [(r["input"], r["state"], r["answers"], r["flagged_by"]) for r in apart] == [
        ("c", "disputed", {"ann": "x", "ben": "y"}, []),
        ("d", "flagged", {}, ["ann"]),
    ]


def test_a_settled_dispute_leaves_no_file_of_disputes_behind(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    steps = (("ann", A, "edit", "x"), ("ben", A, "edit", "y"), ("ben", A, "edit", "x"))
    for size, rows in ((2, 1), (3, 0)):
        now = standing(decided(*steps[:size]))  # pyright: ignore[reportArgumentType]
        found = export(
            answered=labelled_rows(ROWS, now),
            disputed=disputed_rows(ROWS, now),
            path=path,
            root=tmp_path,
        )
        assert found.disputed_rows == rows
        assert (tmp_path / "labels.disputed.jsonl").exists() == (rows > 0)


def test_a_review_keeps_every_row_corrects_the_answered_and_leaves_the_disputed_out() -> None:
    rows = tuple(row(text, "old", number=n) for n, text in enumerate("abcd", start=1))
    now = standing(
        decided(
            ("ann", A, "edit", "new"),
            ("ann", B, "accept", "old"),
            ("ann", C, "edit", "x"),
            ("ben", C, "edit", "y"),
        )
    )
    found = corrected_rows(rows, now)
    assert [(e.input, e.target) for e in found] == [("a", "new"), ("b", "old"), ("d", "old")]
    steps = [e.origin.steps if e.origin is not None else () for e in found]
    assert steps == [("label: 'new' by ann, was 'old'",), ("label: 'old' by ann",), ()]
