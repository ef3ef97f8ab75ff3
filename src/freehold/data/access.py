"""Who may see a document: its labels, where they are written, and what two lists of them mean together.

A document without labels is seen by everybody. One with labels is seen by those who hold one of them. Where
several lists apply to one text, those labels count that stand in each of them: the stricter wins.
"""

from __future__ import annotations

from collections.abc import Sequence

from freehold.core.errors import DataError


def strictest(one: Sequence[str], other: Sequence[str], *, of: tuple[str, str]) -> tuple[str, ...]:
    """Return the labels of a text that two lists apply to.

    Args:
        one: labels; empty: everybody.
        other: labels; empty: everybody.
        of: what each of them is said of.

    Raises:
        DataError: both name labels, and none in common (DOC-002).
    """
    if not one or not other:
        return tuple(sorted({*one, *other}))
    both = sorted(set(one) & set(other))
    if not both:
        first, second = of
        raise DataError(
            "DOC-002",
            f"`{first}` and `{second}` contradict each other: the same text is for"
            f" {', '.join(one)} in the one and for {', '.join(other)} in the other",
            help="give both a label in common, or take one of them out of the documents",
        )
    return tuple(both)
