"""Scorers: from an example and an answer to an outcome.

A scorer is a function and one line in `SCORERS`. An answer whose form cannot be read is a wrong
answer, with score 0 and a cause; only what prevents scoring is a failure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import JsonValue

from freehold.core.errors import ConfigError
from freehold.core.measure import Answer
from freehold.core.outcome import Cause, Failed, Outcome, Scored
from freehold.core.sections import MetricName, MetricSpec
from freehold.core.snapshot import Example
from freehold.core.task import JsonOutput, LabelOutput, Output, TextOutput
from freehold.evaluate.judge import Judge
from freehold.evaluate.schema import Fits, schema_check
from freehold.evaluate.similarity import (
    chrf,
    field_score,
    plain_text,
    rouge_l,
    same_value,
    token_f1,
)
from freehold.evaluate.unanswerable import is_unanswerable, says_unanswerable
from freehold.evaluate.user_metric import load_metric

JUDGED_TOGETHER = 32
"""Answers that wait for a judge together; so many are lost where a run is killed."""

Aggregate: TypeAlias = Literal["mean", "macro_f1"]
Compare: TypeAlias = Callable[[Example, Answer], float | Failed]

# What models say instead of an answer. Only asked of answers that are wrong by their form.
_REFUSAL = re.compile(
    r"\s*(i['’]m sorry|i am sorry|sorry,|i can(no|['’])t|i am (not able|unable) to|"
    r"i['’]m (not able|unable) to|as an ai\b)",
    re.IGNORECASE,
)


def _fits_anything(_value: JsonValue) -> bool:
    return True


@dataclass(frozen=True)
class Scorer:
    """How answers are scored, and how scores become one number.

    `compare` gives the score of an answer whose form could be read. `is_binary` says that every
    score is 0 or 1. `aggregate` is `mean`, or `macro_f1`, where the number is no mean of scores.
    `fits` says whether a value has the form of the output: a wrong one of the right form is confused.
    `declared` is what is said where there is no answer: a wrong answer that says so has refused.
    `judge` is the model that gives the scores, where one does; what may be claimed of them hangs on it.
    """

    name: MetricName
    output: Output
    compare: Compare
    is_binary: bool
    aggregate: Aggregate = "mean"
    fits: Fits = _fits_anything
    declared: str | None = None
    judge: Judge | None = None

    @property
    def together(self) -> int:
        """How many answers are best scored at once: a judge's engine can batch them."""
        return 1 if self.judge is None else JUDGED_TOGETHER

    def score_all(
        self, examples: Sequence[Example], answers: Sequence[Answer]
    ) -> tuple[Outcome, ...]:
        """Return the scores of several answers, as `score` gives them."""
        pairs = zip(examples, answers, strict=True)
        if self.judge is None:
            return tuple(self.score(example, answer) for example, answer in pairs)
        readable = [pair for pair in pairs if pair[1].value is not None]
        given = iter(self.judge.compare_all(*zip(*readable, strict=True)) if readable else ())
        return tuple(
            self._no_value(answer) if answer.value is None else self._outcome(answer, next(given))
            for answer in answers
        )

    def score(self, example: Example, answer: Answer) -> Outcome:
        """Return the score of `answer`, with a cause where it is wrong and code can tell why."""
        if answer.value is None:
            return self._no_value(answer)
        return self._outcome(answer, self.compare(example, answer))

    def _no_value(self, answer: Answer) -> Outcome:
        return Scored(score=0.0, cause=_cause_of_no_value(answer))

    def _outcome(self, answer: Answer, score: float | Failed) -> Outcome:
        if isinstance(score, Failed):
            return score
        return Scored(score=score, cause=None if score == 1.0 else self._cause(answer))

    def _cause(self, answer: Answer) -> Cause | None:
        if answer.truncated:
            return Cause.TRUNCATED
        if isinstance(self.output, LabelOutput):
            return Cause.CONFUSED
        if isinstance(self.output, JsonOutput):
            return Cause.CONFUSED if self.fits(answer.value) else Cause.FORMAT
        return Cause.REFUSED if says_unanswerable(answer.value, self.declared) else None


def scorer(spec: MetricSpec, output: Output, *, root: Path, judge: Judge | None = None) -> Scorer:
    """Return the scorer that a task asks for.

    Args:
        spec: the `metric` section of the task.
        output: the form of the answers.
        root: the project's folder, where a metric of the user's own is looked for.
        judge: the task's judge, for the metric `judge`; other metrics ask none.

    Raises:
        ConfigError: the metric lacks what it needs, or does not suit the output.
    """
    if spec.primary == "judge":
        return _judged(output, judge)
    made = SCORERS[spec.primary](spec, output, root)
    if isinstance(output, TextOutput) and output.unanswerable is not None:
        return _with_unanswerable(made, output.unanswerable)
    return replace(made, fits=schema_check(output)) if isinstance(output, JsonOutput) else made


def _with_unanswerable(made: Scorer, declared: str) -> Scorer:
    """Return the scorer with 1 where a question without an answer is answered as such, and 0 where one of the two is.

    A wanted answer of None or the declared text says that there is none. Words that the declared text shares
    with another answer count for nothing.
    """

    def compare(example: Example, answer: Answer) -> float | Failed:
        wanted = is_unanswerable(example.target, declared)
        said = says_unanswerable(answer.value, declared)
        return float(wanted and said) if wanted or said else made.compare(example, answer)

    return replace(made, compare=compare, declared=declared)


def as_text(value: JsonValue) -> str:
    """Return text as it is (`plain_text`), and other JSON values as JSON."""
    return plain_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cause_of_no_value(answer: Answer) -> Cause:
    if answer.truncated:
        return Cause.TRUNCATED
    return Cause.REFUSED if _REFUSAL.match(answer.raw) else Cause.FORMAT


def _exact_match(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """1 where the answer equals the target (`same_value`), else 0."""

    def compare(example: Example, answer: Answer) -> float:
        if isinstance(output, JsonOutput):
            return float(same_value(answer.value, example.target))
        return float(as_text(answer.value) == as_text(example.target))

    return Scorer(name="exact_match", output=output, compare=compare, is_binary=True)


def _same_label(example: Example, answer: Answer) -> float:
    return float(as_text(answer.value) == as_text(example.target))


def _label_accuracy(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """1 where the label is the wanted one, else 0."""
    _needs_labels("label_accuracy", output)
    return Scorer(name="label_accuracy", output=output, compare=_same_label, is_binary=True)


def _macro_f1(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """Label equality for each example; the number is the mean of the labels' F1."""
    _needs_labels("macro_f1", output)
    return Scorer(
        name="macro_f1", output=output, compare=_same_label, is_binary=True, aggregate="macro_f1"
    )


def _token_f1(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """SQuAD's F1 over words."""
    return _textual("token_f1", output, token_f1)


def _rouge_l(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """ROUGE-L's F1."""
    return _textual("rouge_l", output, rouge_l)


def _chrf(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """Sentence chrF2."""
    return _textual("chrf", output, chrf)


def _textual(name: MetricName, output: Output, similarity: Callable[[str, str], float]) -> Scorer:
    def compare(example: Example, answer: Answer) -> float:
        return similarity(as_text(answer.value), as_text(example.target))

    return Scorer(name=name, output=output, compare=compare, is_binary=False)


def _json_fields(spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """The weighted mean over the fields of an object; see `field_score` for the formula."""
    _needs_json("json_fields", output)

    def compare(example: Example, answer: Answer) -> float:
        return field_score(answer.value, example.target, weights=spec.fields)

    return Scorer(name="json_fields", output=output, compare=compare, is_binary=False)


def _valid_json(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """1 where the answer is JSON that fits the schema, whatever it says."""
    fits = schema_check(_needs_json("valid_json", output))

    def compare(_example: Example, answer: Answer) -> float:
        return float(fits(answer.value))

    return Scorer(name="valid_json", output=output, compare=compare, is_binary=True)


def _regex(spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """1 where `metric.pattern` is found in the raw answer; the target is not looked at."""
    if spec.pattern is None:
        raise ConfigError(
            "CFG-005",
            "metric `regex` needs `metric.pattern`",
            help="metric: {primary: regex, pattern: '^[A-Z]'}",
        )
    try:
        pattern = re.compile(spec.pattern)
    except re.error as error:
        raise ConfigError(
            "CFG-008",
            f"`metric.pattern` {spec.pattern!r} is no regular expression: {error}",
            help="write the pattern in single quotes, so that YAML leaves backslashes alone",
        ) from error

    def compare(_example: Example, answer: Answer) -> float:
        return float(pattern.search(answer.raw) is not None)

    return Scorer(name="regex", output=output, compare=compare, is_binary=True)


def _python(spec: MetricSpec, output: Output, root: Path) -> Scorer:
    """The user's own function, `metrics/file.py:function`."""
    if spec.python is None:
        raise ConfigError(
            "CFG-005",
            "metric `python` needs `metric.python`",
            help="metric: {primary: python, python: 'metrics/my_metric.py:score'}",
        )
    return Scorer(
        name="python", output=output, compare=load_metric(spec.python, root=root), is_binary=False
    )


def _judged(output: Output, judge: Judge | None) -> Scorer:
    """What a judge gives by its rubric."""
    if output.kind != "text":
        raise ConfigError(
            "CFG-026",
            f"metric `judge` scores free text, and the output is {output.kind}",
            help="metric: exact_match compares labels, metric: json_fields objects",
        )
    if judge is None:
        raise ConfigError(
            "CFG-027",
            "metric `judge` needs `models.judge`, and a command that can ask it",
            help="models: {judge: {id: MODEL, rubric: 'file://prompts/rubric.md',"
            " calibrate_with: data/human_scores.jsonl}}",
        )
    return Scorer(name="judge", output=output, compare=judge.compare, is_binary=False, judge=judge)


def _judge_alone(_spec: MetricSpec, output: Output, _root: Path) -> Scorer:
    """A judge by a rubric; without one to ask it is an error."""
    return _judged(output, None)


def _needs_labels(name: str, output: Output) -> None:
    if not isinstance(output, LabelOutput):
        raise ConfigError(
            "CFG-007",
            f"metric `{name}` needs a closed list of labels, and the output is {output.kind}",
            help="list the labels under `output.labels`, or use metric: exact_match",
        )


def _needs_json(name: str, output: Output) -> JsonOutput:
    if not isinstance(output, JsonOutput):
        raise ConfigError(
            "CFG-007",
            f"metric `{name}` needs JSON answers, and the output is {output.kind}",
            help="give a JSON schema under `output.schema`, or use metric: exact_match",
        )
    return output


SCORERS: Mapping[MetricName, Callable[[MetricSpec, Output, Path], Scorer]] = {
    "exact_match": _exact_match,
    "label_accuracy": _label_accuracy,
    "macro_f1": _macro_f1,
    "token_f1": _token_f1,
    "json_fields": _json_fields,
    "rouge_l": _rouge_l,
    "chrf": _chrf,
    "valid_json": _valid_json,
    "regex": _regex,
    "python": _python,
    "judge": _judge_alone,
}
