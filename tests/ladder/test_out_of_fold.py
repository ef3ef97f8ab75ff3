from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freehold.core.snapshot import Example
from freehold.data.findings import answer_of
from freehold.data.label_errors import candidates
from freehold.ladder.learning_curve import learning_curve
from freehold.ladder.out_of_fold import drawn_rows, fold_of_rows, out_of_fold

WORDS = {
    "billing": "invoice charged bill tax",
    "refund": "money back return parcel",
    "tech": "crash app screen error",
}


def rows(count: int, *, wrong: int = 0, seed: int = 0) -> list[Example]:
    rng = random.Random(seed)
    found: list[Example] = []
    for number in range(count):
        label = rng.choice(sorted(WORDS))
        text = " ".join(
            rng.choices([*WORDS[label].split(), *["please", "my", "the", "a", "it"]], k=9)
        )
        shown = rng.choice([one for one in WORDS if one != label]) if number < wrong else label
        found.append(
            Example(
                id=f"r{number}", input=f"{text} {number}", target=shown, source="x", row=number + 1
            )
        )
    return found


def test_groups_stay_in_one_fold_and_labels_are_in_proportion() -> None:
    examples = rows(90)
    twice = [
        *examples,
        *(e.model_copy(update={"id": f"again-{e.id}", "input": e.input.upper()}) for e in examples),
        *(
            e.model_copy(update={"id": f"g-{e.id}", "input": f"other {n}", "group": "one"})
            for n, e in enumerate(examples[:9])
        ),
    ]
    folds = fold_of_rows(twice, folds=5, seed=7)
    assert folds[:90] == folds[90:180]
    assert len(set(folds[180:])) == 1
    for label in WORDS:
        counts = np.bincount(
            [f for f, e in zip(folds[:90], examples, strict=True) if e.target == label]
        )
        assert counts.max() - counts.min() <= 4


def test_probabilities_are_out_of_fold_and_point_at_wrong_labels() -> None:
    examples = rows(400, wrong=20)
    found = out_of_fold(examples)
    np.testing.assert_allclose(found.probabilities_NK.sum(axis=1), 1.0)
    given = np.array([found.labels.index(answer_of(e)) for e in examples])
    doubtful = [one.row for one in candidates(found.probabilities_NK, given)]
    assert sum(row < 20 for row in doubtful) >= 15
    assert sum(row >= 20 for row in doubtful) <= 8


def test_an_embedding_takes_part_where_it_is_given() -> None:
    examples = rows(120)
    asked: list[int] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.append(len(texts))
        return np.eye(8, dtype=np.float32)[[len(text) % 8 for text in texts]]

    words, both = out_of_fold(examples), out_of_fold(examples, embed=embed)
    assert asked == [120]
    assert not np.allclose(words.probabilities_NK, both.probabilities_NK)


def test_a_learning_curve_rises_and_needs_rows() -> None:
    measured = learning_curve(rows(400))
    assert measured is not None
    shares = measured.right_RS.mean(axis=0)
    assert measured.sizes[-1] == 300 and shares[-1] >= shares[0] > 0.5
    assert set(measured.draws_R.tolist()) == {0, 1, 2, 3}
    assert learning_curve(rows(24)) is None


def test_rows_are_drawn_by_content_and_not_by_order() -> None:
    examples = rows(100)
    first = {examples[row].id for row in drawn_rows(examples, 30, seed=1)}
    back = examples[::-1]
    assert first == {back[row].id for row in drawn_rows(back, 30, seed=1)}
    assert drawn_rows(examples, 200, seed=1) == tuple(range(100))
