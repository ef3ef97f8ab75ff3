from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.ladder.tasks import at_noon, colour_rows, truth
from tests.ladder.test_climb import Ticks, models, prepared, run

from freehold.core.message import Message
from freehold.core.sections import MetricSpec
from freehold.core.snapshot import Example, TrainSplit
from freehold.core.task import LabelOutput, Output, Task, TextOutput
from freehold.data.labelling import Suggester, Suggestion, item_key
from freehold.ladder.baseline import BASELINES
from freehold.ladder.suggest import baseline_suggester, best_rung, candidate_suggester
from freehold.ladder.tools import Models, Tools
from freehold.store.store import Store

COLOURS = LabelOutput(labels=("blue", "green", "red"))


def colours(count: int, *, seed: int = 1) -> tuple[Example, ...]:
    rows = colour_rows(count, seed=seed)
    return tuple(
        Example(id=f"e{seed}-{n}", input=row["text"], target=row["label"])
        for n, row in enumerate(rows)
    )


def without_targets(examples: Sequence[Example]) -> list[Example]:
    return [example.model_copy(update={"target": None}) for example in examples]


def asked(
    suggester: Suggester, waiting: Sequence[Example], labelled: Sequence[Example] = ()
) -> dict[str, Suggestion]:
    return dict(suggester.suggest(waiting, labelled))


def from_climb(
    root: Path, ladder: str, script: Callable[[Sequence[Message]], str] = truth
) -> dict[str, Suggestion]:
    outcome, _ = run(root, prepared(root, ladder=ladder), script=script)
    opened, _ = models(script)
    rung = best_rung(outcome)
    assert rung is not None
    with Store.open(root, clock=at_noon) as store:
        suggester = candidate_suggester(outcome, rung, store=store, models=opened)
        assert suggester.name == f"c1/{rung}"
        return asked(suggester, without_targets(colours(40, seed=2)))


def test_the_recommended_candidate_of_a_climb_answers_with_the_probability_of_each_label(
    tmp_path: Path,
) -> None:
    found = from_climb(tmp_path, "rungs: [structured]")
    for example in colours(40, seed=2):
        suggestion = found[item_key(example)]
        assert suggestion.answer == example.target
        assert suggestion.by == "c1/structured"
        assert suggestion.probability == pytest.approx(1)
        assert sorted(label for label, _ in suggestion.likely) == list(COLOURS.labels)


def test_a_linear_baseline_is_as_sure_as_its_probabilities_say(tmp_path: Path) -> None:
    found = from_climb(tmp_path, "rungs: [baseline], baseline: {try: [tfidf]}")
    for suggestion in found.values():
        assert suggestion.probability == suggestion.likely[0][1]
        assert sum(share for _, share in suggestion.likely) == pytest.approx(1, abs=1e-5)
    right = [found[item_key(e)].answer == e.target for e in colours(40, seed=2)]
    assert sum(right) / len(right) > 0.8


def test_where_nothing_passed_the_best_on_test_suggests_and_an_answer_that_is_none_is_left_out(
    tmp_path: Path,
) -> None:
    def mute(messages: Sequence[Message]) -> str:
        return "no idea" if "frog" in messages[-1].content else truth(messages)

    outcome, _ = run(
        tmp_path, prepared(tmp_path, ladder="rungs: [zero_shot]", bar=1.0), script=mute
    )
    assert outcome.climb.recommended is None
    assert best_rung(outcome) == "zero_shot"
    opened, _ = models(mute)
    waiting = without_targets(colours(40, seed=2))
    with Store.open(tmp_path, clock=at_noon) as store:
        found = asked(
            candidate_suggester(outcome, "zero_shot", store=store, models=opened), waiting
        )
    silent = [e for e in waiting if item_key(e) not in found]
    assert all("frog" in e.input for e in silent)


@pytest.fixture
def tools(tmp_path: Path) -> Callable[[Output], Tools]:
    store = Store.open(tmp_path, clock=at_noon)

    def made(output: Output) -> Tools:
        task = Task(
            name="t", instruction="i", output=output, metric=MetricSpec(primary="exact_match")
        )
        return Tools(
            task=task,
            train=TrainSplit(examples=()),
            passages=(),
            store=store,
            models=Models(cache=tmp_path),
            clock=Ticks(),
            on_progress=lambda _step: None,
        )

    return made


def test_a_baseline_learns_from_what_is_labelled_and_says_nothing_before_it_can(
    tools: Callable[[Output], Tools],
) -> None:
    suggester = baseline_suggester(tools(COLOURS))
    waiting = without_targets(colours(30, seed=2))
    assert suggester.learns
    assert asked(suggester, waiting) == {}
    assert asked(suggester, waiting, colours(1)) == {}
    found = asked(suggester, waiting, colours(60))
    assert {s.by for s in found.values()} == {"baseline on 60 rows"}
    assert len(found) == len({item_key(e) for e in waiting})


def test_rows_that_have_an_answer_are_judged_by_a_head_that_has_not_seen_them(
    tools: Callable[[Output], Tools],
) -> None:
    rows = list(colours(100))
    wrong = rows[3].model_copy(update={"target": "red" if rows[3].target != "red" else "blue"})
    rows[3] = wrong
    found = asked(baseline_suggester(tools(COLOURS), out_of_fold=True), rows)
    assert len(found) == 100
    assert found[item_key(wrong)].answer == colours(100)[3].target
    assert all(int(s.by.split()[2]) < 100 for s in found.values())


@pytest.mark.parametrize("labels", [("blue", "red"), ("blue", "green", "red"), ("blue",)])
def test_probabilities_are_those_of_the_fitted_regression(
    tools: Callable[[Output], Tools], labels: tuple[str, ...]
) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    rows = tuple(row for row in colours(80) if row.target in labels)
    made = replace(tools(LabelOutput(labels=labels)), train=TrainSplit(examples=rows))
    way = BASELINES["tfidf"]
    assert way.scores is not None
    found = way.scores(way.build(made).files, made).probabilities(rows)
    assert found.shape == (len(rows), len(labels))
    assert found.sum(axis=1) == pytest.approx(1)
    if len(labels) > 1:
        texts = [row.input for row in rows]
        vectorizer: Any = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        head: Any = LogisticRegression(C=10.0, max_iter=1000)
        vectors = vectorizer.fit_transform(texts)
        head.fit(vectors, [row.target for row in rows])
        assert found == pytest.approx(np.asarray(head.predict_proba(vectors)), abs=1e-5)


def test_free_text_is_suggested_from_the_nearest_labelled_row_without_a_probability(
    tools: Callable[[Output], Tools],
) -> None:
    found = asked(
        baseline_suggester(tools(TextOutput())), without_targets(colours(3, seed=2)), colours(12)
    )
    assert {s.probability for s in found.values()} == {None}
