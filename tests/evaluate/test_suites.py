"""Suites of kept ability: rows of files and tasks of lm-eval, scored through the door."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import DataError
from freehold.core.message import Message
from freehold.core.outcome import Cause, Failed, Scored
from freehold.evaluate.instructions import CHECKS, Check, follows
from freehold.evaluate.probes import ProbeResult
from freehold.evaluate.suites import (
    AnswerItem,
    ChoiceItem,
    kept_suites,
    measure_suite,
    read_suite,
    suite_digest,
)
from freehold.evaluate.suites_lm_eval import DoorForLmEval, LmEvalSuite
from freehold.models.scripted import ScriptedModel

GENERAL = Path(__file__).parents[2].parent / "shared" / "data" / "general"


def write(path: Path, *rows: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scores(results: Sequence[ProbeResult]) -> list[float]:
    return [r.outcome.score for r in results if isinstance(r.outcome, Scored)]


def says(text: str) -> ScriptedModel:
    def answer(messages: Sequence[Message]) -> str:
        return text if messages else ""

    return ScriptedModel(answer)


def test_rows_with_choices_are_right_where_the_likeliest_choice_is_the_target(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path / "must_keep.jsonl",
        {"input": "Is the sky blue?", "choices": ["yes", "no"], "target": "yes"},
        {"input": "Is grass red?", "choices": ["yes", "no"], "target": 1},
    )
    suite = read_suite(path, name="must_keep", items=10)
    assert scores(measure_suite(says("yes"), suite)) == [1.0, 0.0]


def test_a_long_choice_is_not_at_a_disadvantage(tmp_path: Path) -> None:
    long = "considerable deliberation everywhere"
    path = write(
        tmp_path / "rows.jsonl", {"input": "q", "choices": [long, "short"], "target": long}
    )
    suite = read_suite(path, name="rows", items=10)
    # Neither is what the script says: each word is equally unlikely, and a letter of the long one
    # belongs to fewer words.
    assert scores(measure_suite(says("other"), suite)) == [1.0]


def test_rows_without_choices_are_compared_whole_and_numbers_by_the_last_number(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path / "rows.jsonl",
        {"input": "Capital of France?", "target": "Paris"},
        {"prompt": "How many?", "answer": "1,200"},
    )
    suite = read_suite(path, name="rows", items=10)
    kinds = [item.kind for item in suite.items if isinstance(item, AnswerItem)]
    assert kinds == ["exact", "number"]
    assert scores(measure_suite(says("first 3, then 1200."), suite)) == [0.0, 1.0]
    assert scores(measure_suite(says(" Paris "), suite)) == [1.0, 0.0]


def test_what_the_model_cannot_read_failed_and_is_no_wrong_answer(tmp_path: Path) -> None:
    path = write(
        tmp_path / "rows.jsonl",
        {"input": "word " * 50, "choices": ["yes", "no"], "target": "yes"},
    )
    suite = read_suite(path, name="rows", items=10)
    model = ScriptedModel({}, default="yes", context_tokens=20)
    (result,) = measure_suite(model, suite)
    assert isinstance(result.outcome, Failed)
    assert result.outcome.cause is Cause.TOO_LONG


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"input": "q"}, "KPT-002"),
        ({"input": "q", "choices": ["a", "b"], "target": "c"}, "KPT-002"),
        ({"input": "q", "choices": "ab", "target": "a"}, "KPT-002"),
        ({"target": "a"}, "KPT-002"),
        ({"prompt": "q", "instruction_id_list": ["language:response_language"]}, "KPT-003"),
    ],
)
def test_rows_that_say_too_little_are_refused_with_their_number(
    tmp_path: Path, row: Mapping[str, object], code: str
) -> None:
    path = write(tmp_path / "rows.jsonl", row)
    with pytest.raises(DataError) as error:
        read_suite(path, name="rows", items=10)
    assert error.value.problems[0].code == code


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_suite(tmp_path / "none.jsonl", name="none", items=10)
    assert error.value.problems[0].code == "KPT-001"


def test_the_same_rows_are_drawn_every_time_and_decide_the_digest(tmp_path: Path) -> None:
    rows = [{"input": f"q{n}", "target": f"a{n}"} for n in range(50)]
    path = write(tmp_path / "rows.jsonl", *rows)
    first = read_suite(path, name="rows", items=10)
    assert len(first.items) == 10
    assert first == read_suite(path, name="rows", items=10)
    write(path, *rows[:-1], {"input": "q49", "target": "other"})
    all_rows = read_suite(path, name="rows", items=100)
    write(path, *rows)
    assert suite_digest(all_rows) != suite_digest(read_suite(path, name="rows", items=100))


def test_suites_are_paired_with_the_base_worst_first() -> None:
    def run(family: str, values: Sequence[float | None]) -> list[ProbeResult]:
        return [
            ProbeResult(
                probe_id=f"{family}-{place}",
                family=family,
                outcome=Failed(cause=Cause.ENGINE, message="x")
                if value is None
                else Scored(score=value),
            )
            for place, value in enumerate(values)
        ]

    before = [*run("fine", [1, 0, 1, None]), *run("worse", [1, 1, 1, 0])]
    after = [*run("fine", [1, 1, 1, 1]), *run("worse", [0, None, 1, 0])]
    found = kept_suites(before, after, confidence=0.95, rng=np.random.default_rng(0))
    assert [(one.family, one.n, one.lost, one.gained) for one in found] == [
        ("worse", 4, 2, 0),
        ("fine", 3, 0, 1),
    ]
    assert found[0].points_lost is not None
    assert found[0].points_lost.mean == pytest.approx(0.5)


FOLLOWED: Mapping[str, tuple[Mapping[str, object], str, str]] = {
    "punctuation:no_comma": ({}, "no such mark", "one, two"),
    "length_constraints:number_words": (
        {"relation": "at least", "num_words": 3},
        "one two three",
        "one two",
    ),
    "keywords:existence": ({"keywords": ["sun", "moon"]}, "Sun and moon", "sunny moon"),
    "keywords:forbidden_words": ({"forbidden_words": ["bad"]}, "badly said", "a bad one"),
    "keywords:frequency": (
        {"relation": "less than", "keyword": "go", "frequency": 2},
        "go on",
        "go go",
    ),
    "keywords:letter_frequency": (
        {"let_relation": "at least", "letter": "e", "let_frequency": 2},
        "Even",
        "owe",
    ),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "* a\n- b", "* a"),
    "detectable_format:number_highlighted_sections": (
        {"num_highlights": 2},
        "*a b* and **c**",
        "*a*",
    ),
    "detectable_format:title": ({}, "<<On rain>>\nIt rains.", "On rain"),
    "detectable_format:json_format": ({}, '```json\n{"a": 1}\n```', "{a: 1}"),
    "detectable_content:number_placeholders": ({"num_placeholders": 1}, "Dear [name]", "Dear"),
    "change_case:english_lowercase": ({}, "all low", "Not"),
    "change_case:english_capital": ({}, "ALL UP", "Not"),
    "startend:end_checker": ({"end_phrase": "Any questions?"}, "So. any questions?", "So."),
    "startend:quotation": ({}, '"quoted"', '"half'),
}


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_every_check_tells_followed_from_not(kind: str) -> None:
    settings, followed, not_followed = FOLLOWED[kind]
    check = Check.model_validate({"kind": kind, "settings": settings})
    assert follows(followed, check)
    assert not follows(not_followed, check)
    assert not follows(" ", check)


@pytest.mark.skipif(not GENERAL.is_dir(), reason="needs ../shared/data/general")
@pytest.mark.parametrize("path", sorted(GENERAL.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_file_of_the_standard_sets_is_a_suite(path: Path) -> None:
    suite = read_suite(path, name=path.stem, items=20)
    left = sum(count for _, count in suite.left_out)
    assert len(suite.items) == 20
    assert (left > 0) == (path.stem == "ifeval")
    assert suite.texts
    if path.stem == "winogrande":
        assert all(isinstance(i, ChoiceItem) and len(i.contexts) == 2 for i in suite.items)


LM_EVAL_TASK = """
task: tiny_choices
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{options}}}}"
doc_to_target: right
metric_list:
  - metric: acc
  - metric: acc_norm
"""


def tiny_task(folder: Path) -> LmEvalSuite:
    data = write(
        folder / "rows.jsonl",
        {"question": "Is the sky blue?", "options": ["yes", "no"], "right": 0},
        {"question": "Is grass red?", "options": ["yes", "no"], "right": 1},
    )
    (folder / "tiny.yaml").write_text(LM_EVAL_TASK.format(data=data), encoding="utf-8")
    return LmEvalSuite(name="lm_eval:tiny.yaml", task="tiny.yaml", items=10, root=folder)


@pytest.mark.filterwarnings("ignore")
def test_a_task_of_lm_eval_runs_on_any_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    suite = tiny_task(tmp_path)
    assert scores(suite.measure(says("yes"))) == [1.0, 0.0]
    assert any("Is the sky blue?" in text for text in suite.texts())
    blind = ScriptedModel({}, default="yes", context_tokens=2)
    assert all(isinstance(result.outcome, Failed) for result in suite.measure(blind))


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_lm_eval_does_not_know_is_said(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    missing = LmEvalSuite(name="lm_eval:no.yaml", task="no.yaml", items=1, root=tmp_path)
    with pytest.raises(DataError) as error:
        missing.texts()
    assert error.value.problems[0].code == "KPT-005"


class _Ask:
    def __init__(self, *args: object) -> None:
        self.args, self.doc_id, self.task_name = args, 3, "t"


def test_answers_end_before_the_first_stop_text_and_sampling_is_refused() -> None:
    door = DoorForLmEval(says("one\ntwo"))
    requests = [
        _Ask("q", {"until": ["\n"], "max_gen_toks": 5}),
        _Ask("q", {"do_sample": True, "temperature": 0.7}),
    ]
    assert door.generate_until(requests) == ["one", ""]
    assert "sampled" in door.failures["t", 3].message
