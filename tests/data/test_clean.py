"""Standard cleaning leaves out exact repeats with one answer, and nothing else."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.snapshot import Drop, Example
from freehold.data.clean import REPEATS, cleaned

PAIRS = st.lists(st.tuples(st.sampled_from(["a", "A", "b "]), st.sampled_from("xy")), max_size=9)


def examples(pairs: Sequence[tuple[str, str]]) -> list[Example]:
    return [
        Example(id=f"r{n}", input=text, target=target, source="a.csv", row=n)
        for n, (text, target) in enumerate(pairs, 2)
    ]


@given(PAIRS)
def test_what_is_left_is_each_pair_once_in_order_with_its_origin(
    pairs: list[tuple[str, str]],
) -> None:
    found = cleaned(examples(pairs), ())
    assert [(e.input, e.target) for e in found.kept] == list(dict.fromkeys(pairs))
    assert len(found.kept) + len(found.drops) == len(pairs)
    assert all(e.origin is not None and e.origin.row == e.row for e in found.kept)
    assert cleaned(found.kept, ()).drops == ()


def test_contradictions_stay_for_review_and_unusable_rows_keep_their_reason() -> None:
    unusable = Drop(source="a.csv", row=9, reason="no target")
    found = cleaned(examples([("a", "x"), ("a", "y"), ("a", "x")]), (unusable,))
    assert [[e.row for e in group] for group in found.review] == [[2, 3]]
    assert len(found.kept) == 2
    assert found.drops == (unusable, Drop(source="a.csv", row=4, reason=REPEATS))
