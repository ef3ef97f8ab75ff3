from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.synthesis.rows import made_row, reading, row, tickets

from freehold.core.errors import DataError
from freehold.core.sections import SplitSpec
from freehold.core.snapshot import Example, Snapshot
from freehold.data.inspect import inspect
from freehold.data.snapshot import freeze
from freehold.data.synthesis import admission
from freehold.data.synthesis.admission import is_synthetic, left_out, most_rows, share_of


def held_out(snapshot: Snapshot) -> tuple[Example, ...]:
    splits = (snapshot.dev, snapshot.test, snapshot.audit)
    return tuple(example for split in splits for example in split.examples)


def reasons(snapshot: Snapshot) -> list[str]:
    return [drop.reason for drop in snapshot.drops]


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[list[Example], list[Example], list[Example] | None]:
    """Real rows mixed with synthetic ones, a synthetic file, and perhaps a test file with both."""
    rng = draw(st.randoms(use_true_random=False))
    real = list(tickets(draw(st.integers(30, 60))))
    made: list[Example] = []
    for number in range(draw(st.integers(0, 60))):
        parent = rng.choice(real)
        text = rng.choice(
            (
                parent.input,
                parent.input.upper(),
                parent.input + "!",
                f"a different thing altogether, number {number * 31337}",
            )
        )
        parents = (parent.content_digest,) if rng.random() < 0.7 else ()
        made.append(made_row(text, parent.target, parents=parents))
    in_test = [*tickets(30, first=500), *made[:3]] if draw(st.booleans()) else None
    among = rng.sample(made, len(made) // 3)
    mixed = [*real, *among]
    rng.shuffle(mixed)
    named = [e.model_copy(update={"id": f"{e.id}-{n}"}) for n, e in enumerate(mixed)]
    return named, made, in_test


@settings(max_examples=40)
@given(
    mixture=mixtures(),
    share=st.floats(0, 1),
    seed=st.integers(0, 3),
    marked=st.booleans(),
    rng=st.randoms(use_true_random=False),
)
def test_no_synthetic_row_is_ever_held_out_and_the_cap_holds(
    mixture: tuple[list[Example], list[Example], list[Example] | None],
    share: float,
    seed: int,
    marked: bool,
    rng: random.Random,
) -> None:
    mixed, made, in_test = mixture
    # Every row of data.synthetic counts as synthetic, also where a user took the origin away.
    file = made if marked else [e.model_copy(update={"origin": None}) for e in made]
    test = None if in_test is None else reading(in_test, "test.jsonl")
    spec = SplitSpec(seed=seed)

    def frozen(rows: list[Example]) -> Snapshot:
        return freeze(
            reading(rows),
            spec=spec,
            test=test,
            synthetic=reading(file, "s.jsonl") if file else None,
            synthetic_share=share,
        )

    snapshot = frozen(mixed)
    Snapshot.model_validate(snapshot.model_dump())  # splits are disjoint, ids are unique
    assert not any(is_synthetic(example) for example in held_out(snapshot))
    kept = [example for example in snapshot.train.examples if is_synthetic(example)]
    assert len(kept) <= share * len(snapshot.train) + 1e-9

    real_only = freeze(
        reading([e for e in mixed if not is_synthetic(e)]),
        spec=spec,
        test=None if in_test is None else reading([e for e in in_test if not is_synthetic(e)]),
    )
    assert held_out(real_only) == held_out(snapshot), "synthetic rows move no real row"
    trained = {e.content_digest for e in real_only.train.examples}
    everything = {e.content_digest for e in (*mixed, *(in_test or ())) if not is_synthetic(e)}
    for example in kept:
        assert example.origin is not None
        assert example.origin.synthetic is not None
        for parent in example.origin.synthetic.parents:
            assert parent in trained or parent not in everything

    moved = list(mixed)
    rng.shuffle(moved)
    again = frozen(moved)
    assert {e.content_digest for e in again.train.examples} == {
        e.content_digest for e in snapshot.train.examples
    }


@given(rows=st.integers(0, 5000), share=st.floats(0, 0.999))
def test_the_cap_is_the_most_rows_that_keep_the_share(rows: int, share: float) -> None:
    most = most_rows(rows, share)
    assert most is not None
    assert most <= share * (most + rows) + 1e-9 * (1 + most)
    if rows:
        assert (most + 1) / (most + 1 + rows) > share - 1e-9
    assert most_rows(rows, 1.0) is None


def test_a_larger_cap_keeps_what_a_smaller_one_kept() -> None:
    made = [made_row(f"a new thing that is unlike the others: {n * 104729}") for n in range(60)]
    given_rows, file = reading(tickets(60)), reading(made, "s.jsonl")
    kept: list[set[str]] = []
    for share in (0.0, 0.1, 0.3, 0.5, 1.0):
        snapshot = freeze(given_rows, spec=SplitSpec(), synthetic=file, synthetic_share=share)
        kept.append({e.input for e in snapshot.train.examples if is_synthetic(e)})
    assert [len(inputs) for inputs in kept] == [0, 2, 9, 22, 60]
    assert all(few <= many for few, many in pairwise(kept))


def test_what_says_what_is_held_out_or_descends_from_it_is_left_out_with_its_reason() -> None:
    real = tickets(60)
    before = freeze(reading(real), spec=SplitSpec())
    test, trained = before.test.examples[0], before.train.examples[0]
    made = [
        made_row(test.input.upper()),
        made_row(test.input + " a"),
        made_row("said in quite other words", parents=(test.content_digest,)),
        made_row("said in quite other words again", parents=(trained.content_digest,)),
        made_row(trained.input, trained.target),
    ]
    snapshot = freeze(reading(real), spec=SplitSpec(), synthetic=reading(made, "s.jsonl"))
    assert reasons(snapshot) == [
        admission.REPEATS_HELD_OUT,
        admission.NEARLY_REPEATS_HELD_OUT,
        admission.OF_HELD_OUT,
        admission.REPEATS_TRAINING,
    ]
    assert share_of(snapshot).rows == 1
    (problem,) = left_out(snapshot)
    assert problem.code == "DAT-091"
    assert "4 synthetic rows are left out" in problem.message
    assert "DAT-018" not in [p.code for p in inspect(snapshot)], "said once"


def test_a_synthetic_row_in_the_test_file_measures_nothing() -> None:
    test = (*tickets(30, first=200), made_row("a row that a model wrote, of its own making"))
    snapshot = freeze(reading(tickets(60)), spec=SplitSpec(), test=reading(test, "t.jsonl"))
    assert reasons(snapshot) == [admission.IN_TEST]
    assert len(snapshot.test) == 30


def test_a_row_of_the_synthetic_file_that_does_not_say_what_it_is_counts_as_given() -> None:
    file = reading([row(900, "written by nobody knows whom, or how", "tech")], "s.jsonl")
    snapshot = freeze(reading(tickets(60)), spec=SplitSpec(), synthetic=file)
    share = share_of(snapshot)
    assert share.methods == {"given": 1}
    assert share.sentence == "1 of 23 training rows (4.3 %) are synthetic: given 1"
    assert snapshot.sources[-1].name == "s.jsonl"


def test_data_without_synthetic_rows_freezes_as_it_always_did() -> None:
    snapshot = freeze(reading(tickets(60)), spec=SplitSpec(), synthetic_share=0.1)
    assert snapshot.digest == freeze(reading(tickets(60)), spec=SplitSpec()).digest
    assert share_of(snapshot).share == 0.0
    assert left_out(snapshot) == ()


def test_synthetic_rows_alone_are_no_data() -> None:
    made = [made_row(f"a new thing that is unlike the others: {n * 104729}") for n in range(60)]
    try:
        freeze(reading(made), spec=SplitSpec())
    except DataError as error:
        assert error.problems[0].code == "DAT-010"
    else:
        raise AssertionError("a snapshot was made of rows that no person wrote")
