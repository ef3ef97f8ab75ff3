from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import JsonValue

from freehold.core.codes import CODES
from freehold.core.errors import ConfigError
from freehold.core.measure import Answer
from freehold.core.outcome import Cause, Failed, Scored
from freehold.core.sections import MetricName, MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output, TextOutput
from freehold.evaluate.extract import extract
from freehold.evaluate.scorers import SCORERS, Scorer, scorer

LABELS = LabelOutput(labels=("billing", "refunds"))
ORDER = JsonOutput(
    json_schema={
        "type": "object",
        "properties": {"city": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["city"],
    }
)
TEXT = TextOutput()
HERE = Path()


def example(target: JsonValue, text: str = "question") -> Example:
    return Example(id="e1", input=text, target=target)


def said(raw: str, output: Output, *, truncated: bool = False) -> Answer:
    return Answer(raw=raw, value=extract(raw, output), truncated=truncated)


def made(name: MetricName, output: Output) -> Scorer:
    return scorer(MetricSpec(primary=name), output, root=HERE)


def test_every_metric_name_has_a_scorer() -> None:
    assert set(SCORERS) == set(get_args(MetricName))


@pytest.mark.parametrize("name", ["exact_match", "label_accuracy", "macro_f1"])
def test_a_label_is_right_confused_or_off_the_list(name: MetricName) -> None:
    judge = made(name, LABELS)
    assert judge.is_binary
    wanted = example("billing")
    assert judge.score(wanted, said("Billing.", LABELS)) == Scored(score=1.0)
    confused = Scored(score=0.0, cause=Cause.CONFUSED)
    assert judge.score(wanted, said("refunds", LABELS)) == confused
    off_list = Scored(score=0.0, cause=Cause.FORMAT)
    assert judge.score(wanted, said("It is billing", LABELS)) == off_list


def test_a_cut_answer_and_a_refusal_are_told_apart_from_a_wrong_form() -> None:
    judge = made("exact_match", LABELS)
    cut = judge.score(example("billing"), said("Well, the", LABELS, truncated=True))
    assert cut == Scored(score=0.0, cause=Cause.TRUNCATED)
    refused = judge.score(example("billing"), said("I'm sorry, I cannot help.", LABELS))
    assert refused == Scored(score=0.0, cause=Cause.REFUSED)


def test_a_label_of_a_number_column_matches_its_text() -> None:
    output = LabelOutput(labels=("1", "2"))
    assert made("exact_match", output).score(example(2), said("2", output)) == Scored(score=1.0)


def test_exact_match_of_json_compares_values_and_says_whether_the_form_was_wrong() -> None:
    judge = made("exact_match", ORDER)
    wanted = example({"city": "Porto", "count": 2})
    assert judge.score(wanted, said('{"count": 2.0, "city": "Porto"}', ORDER)) == Scored(score=1.0)
    assert judge.score(wanted, said('{"count":2,"city":"Porto"}', ORDER)) == Scored(score=1.0)
    confused = judge.score(wanted, said('{"count":2,"city":"Lyon"}', ORDER))
    assert confused == Scored(score=0.0, cause=Cause.CONFUSED)
    unfit = judge.score(wanted, said('{"count":2}', ORDER))
    assert unfit == Scored(score=0.0, cause=Cause.FORMAT)
    unread = judge.score(wanted, said("count 2, city Porto", ORDER))
    assert unread == Scored(score=0.0, cause=Cause.FORMAT)


def test_json_fields_gives_partial_credit_by_the_weights_of_the_task() -> None:
    spec = MetricSpec(primary="json_fields", fields={"city": 3.0, "count": 1.0})
    judge = scorer(spec, ORDER, root=HERE)
    assert not judge.is_binary
    found = judge.score(example({"city": "Porto", "count": 2}), said('{"city":"Porto"}', ORDER))
    assert found == Scored(score=0.75, cause=Cause.CONFUSED)


def test_valid_json_asks_for_the_schema_and_nothing_else() -> None:
    judge = made("valid_json", ORDER)
    wanted = example({"city": "Porto"})
    assert judge.score(wanted, said('{"city": "anything"}', ORDER)) == Scored(score=1.0)
    for raw in ('{"city": 3}', "{}", "[]", "no json"):
        assert judge.score(wanted, said(raw, ORDER)) == Scored(score=0.0, cause=Cause.FORMAT)


@pytest.mark.parametrize("name", ["token_f1", "rouge_l", "chrf"])
def test_text_metrics_score_between_wrong_and_right(name: MetricName) -> None:
    judge = made(name, TEXT)
    assert not judge.is_binary
    wanted = example("the cat sat on the mat")
    assert judge.score(wanted, said("the cat sat on the mat", TEXT)) == Scored(score=1.0)
    partly = judge.score(wanted, said("the cat sat", TEXT))
    assert isinstance(partly, Scored)
    assert 0.0 < partly.score < 1.0
    assert partly.cause is None
    cut = judge.score(wanted, said("the cat sat", TEXT, truncated=True))
    assert isinstance(cut, Scored)
    assert cut.cause is Cause.TRUNCATED
    assert judge.score(wanted, said(" ", TEXT)) == Scored(score=0.0, cause=Cause.FORMAT)


def test_regex_looks_for_its_pattern_in_the_raw_answer() -> None:
    judge = scorer(MetricSpec(primary="regex", pattern=r"^Dear \w+,"), TEXT, root=HERE)
    assert judge.score(example(""), said("Dear Marta, thank you", TEXT)) == Scored(score=1.0)
    assert judge.score(example(""), said("Hello", TEXT)) == Scored(score=0.0)


@pytest.mark.parametrize(
    ("spec", "output", "code"),
    [
        (MetricSpec(primary="regex"), TEXT, "CFG-005"),
        (MetricSpec(primary="regex", pattern="(open"), TEXT, "CFG-008"),
        (MetricSpec(primary="python"), TEXT, "CFG-005"),
        (MetricSpec(primary="python", python="metric.py"), TEXT, "CFG-004"),
        (MetricSpec(primary="python", python="absent.py:score"), TEXT, "CFG-006"),
        (MetricSpec(primary="python", python="../outside.py:score"), TEXT, "CFG-006"),
        (MetricSpec(primary="label_accuracy"), TEXT, "CFG-007"),
        (MetricSpec(primary="macro_f1"), ORDER, "CFG-007"),
        (MetricSpec(primary="json_fields"), LABELS, "CFG-007"),
        (MetricSpec(primary="valid_json"), TEXT, "CFG-007"),
    ],
)
def test_a_metric_that_cannot_work_is_refused_with_the_way_out(
    spec: MetricSpec, output: Output, code: str, tmp_path: Path
) -> None:
    (tmp_path / "outside.py").write_text("def score(example, output): return 1.0\n")
    project = tmp_path / "project"
    project.mkdir()
    with pytest.raises(ConfigError) as caught:
        scorer(spec, output, root=project)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.code in CODES
    assert problem.help


METRIC = """
from __future__ import annotations
import sys
from dataclasses import dataclass
import numpy as np

@dataclass
class Weights:
    tone: float = 0.5

def polite(example, output):
    return Weights().tone if "please" in output else np.equal(example.target, output)

def wild(example, output):
    return {"raise": 1 / len(output.replace("raise", "")) if output == "raise" else 0,
            "big": 1.5, "nan": float("nan"), "text": "1.0", "none": None}[output]

def leave(example, output):
    sys.exit(3)

number = 4
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "mine.py").write_text(METRIC)
    (tmp_path / "metrics" / "broken.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "metrics" / "notes.txt").write_text("x = 1\n")
    return tmp_path


def own(name: str, project: Path) -> Scorer:
    spec = MetricSpec(primary="python", python=f"metrics/{name}")
    return scorer(spec, TEXT, root=project)


def test_a_metric_of_the_users_own_scores_by_example_and_output(project: Path) -> None:
    judge = own("mine.py:polite", project)
    assert not judge.is_binary
    assert judge.score(example("yes"), said("please", TEXT)) == Scored(score=0.5)
    assert judge.score(example("yes"), said("yes", TEXT)) == Scored(score=1.0)
    assert judge.score(example("yes"), said("no", TEXT)) == Scored(score=0.0)
    assert sorted(path.name for path in (project / "metrics").iterdir()) == [
        "broken.py",
        "mine.py",
        "notes.txt",
    ]


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("raise", "ZeroDivisionError"),
        ("big", "1.5"),
        ("nan", "nan"),
        ("text", "'1.0'"),
        ("none", "None"),
        ("other", "KeyError"),
    ],
)
def test_a_metric_that_raises_or_leaves_its_range_is_a_failure_and_never_zero(
    answer: str, part: str, project: Path
) -> None:
    outcome = own("mine.py:wild", project).score(example("x"), said(answer, TEXT))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.SCORER
    assert part in outcome.message


def test_a_metric_that_leaves_the_program_is_a_failure(project: Path) -> None:
    outcome = own("mine.py:leave", project).score(example("x"), said("y", TEXT))
    assert isinstance(outcome, Failed)
    assert "SystemExit" in outcome.message


@pytest.mark.parametrize(
    "name", ["mine.py:absent", "mine.py:number", "broken.py:score", "notes.txt:x"]
)
def test_a_metric_file_that_cannot_be_used_is_named(name: str, project: Path) -> None:
    with pytest.raises(ConfigError, match=name.partition(":")[0]) as caught:
        own(name, project)
    assert caught.value.problems[0].code == "CFG-009"
