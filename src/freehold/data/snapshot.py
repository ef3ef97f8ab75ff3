"""Freeze what was read into a `Snapshot`: groups joined, leaks left out, splits drawn once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from freehold.core.errors import DataError, Where
from freehold.core.sections import SplitSpec
from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Drop,
    Example,
    Snapshot,
    TestSplit,
    TrainSplit,
)
from freehold.core.task import JsonOutput, LabelOutput
from freehold.data.detect import output_of
from freehold.data.duplicates import Duplicates, Embed, find_duplicates, with_groups
from freehold.data.findings import target_text
from freehold.data.formats import missing_column
from freehold.data.read import Reading, drops_as_causes, free_id
from freehold.data.split import LEAST_EXAMPLES, Item, assign, draw, sizes_for
from freehold.data.synthesis.admission import admit, set_apart

REPEATS_TEST = "repeats a test row"
NEARLY_REPEATS_TEST = "nearly repeats a test row"
PARAPHRASES_TEST = "says the same as a test row in other words"
GROUP_OF_TEST = "belongs to a group of the test rows"


def freeze(
    reading: Reading,
    *,
    spec: SplitSpec,
    test: Reading | None = None,
    synthetic: Reading | None = None,
    synthetic_share: float = 0.5,
    embed: Embed | None = None,
) -> Snapshot:
    """Divide what was read, once, and name it by its content.

    Rows that repeat or nearly repeat one another, and rows of one `spec.group_by`, stay together.
    Answers are in proportion in every split where they are a closed list (for JSON answers: their
    first closed field), or the values of `spec.stratify_by`. With `test`, that file is the test
    split as it is; training rows that repeat it, exactly or nearly, or share a group with it, are
    left out with a reason and counted in `leaked`. Every split is in one random order that depends
    on the seed and the content. `spec.paraphrase` needs `embed`, which turns texts into vectors.

    Rows that no person wrote are never divided: those of `synthetic`, and those whose origin says so,
    join the training rows up to a share of `synthetic_share`; see `synthesis.admission`.

    Raises:
        ValueError: `spec.paraphrase` without `embed`.
        DataError: too few examples (DAT-010), one answer only (DAT-011), sizes or groups that
            cannot be divided (DAT-012), a column of `spec` that no row has (DAT-007).
    """
    apart = set_apart(reading, test, synthetic)
    snapshot = _divided(apart.reading, spec=spec, test=apart.test, embed=embed)
    return admit(snapshot, apart, most_share=synthetic_share)


def _divided(
    reading: Reading, *, spec: SplitSpec, test: Reading | None, embed: Embed | None
) -> Snapshot:
    given = _grouped(reading, spec)
    tests = _grouped(test, spec) if test is not None else ()
    _refuse_too_few(given, (*reading.drops, *(test.drops if test is not None else ())))
    if test is not None and not tests:
        raise _too_few(0, test.drops)
    _refuse_one_answer((*given, *tests))
    everything = (*given, *tests)
    duplicates = duplicates_of(everything, spec=spec, embed=embed)
    roots = with_groups(everything, duplicates)
    kept, leaks = _without_leaks(given, roots, duplicates)
    _refuse_too_few([given[row] for row in kept], (*reading.drops, *leaks))
    places = _places(given, kept, roots=roots, spec=spec, own_test=test is not None)
    return _snapshot(
        {split: _shuffled([given[row] for row in rows], spec.seed) for split, rows in places},
        _shuffled(tests, spec.seed),
        readings=(reading,) if test is None else (reading, test),
        leaks=leaks,
        duplicates=duplicates,
        seed=spec.seed,
    )


def duplicates_of(
    examples: Sequence[Example], *, spec: SplitSpec, embed: Embed | None = None
) -> Duplicates:
    """Return which examples the settings keep together as repeats.

    Raises:
        ValueError: `spec.paraphrase` without `embed`.
    """
    if spec.paraphrase is None:
        return find_duplicates(examples, near=spec.near)
    if embed is None:
        raise ValueError("data.split.paraphrase needs an embedder")
    return find_duplicates(examples, near=spec.near, paraphrase=spec.paraphrase, embed=embed)


# What must hold ------------------------------------------------------------------------------


def _refuse_too_few(examples: Sequence[Example], drops: Sequence[Drop]) -> None:
    if len(examples) < LEAST_EXAMPLES:
        raise _too_few(len(examples), drops)


def _too_few(count: int, drops: Sequence[Drop]) -> DataError:
    noun = "example" if count == 1 else "examples"
    return DataError(
        "DAT-010",
        f"{count:,} {noun} in all; {LEAST_EXAMPLES} are the least, to build with, to choose with "
        "and to measure with",
        cause=drops_as_causes(drops),
        help=f"add {LEAST_EXAMPLES - count:,} more; 200 give a first answer, and 1,000 a good one"
        if count < LEAST_EXAMPLES
        else "add examples",
    )


def _refuse_one_answer(examples: Sequence[Example]) -> None:
    first = examples[0]
    if any(example.target != first.target for example in examples):
        return
    answer = target_text(first.target)
    shown = answer if len(answer) <= 40 else answer[:39] + "…"
    raise DataError(
        "DAT-011",
        f"all {len(examples):,} examples want the same answer, `{shown}`",
        where=Where(file=first.source),
        help="add examples with other answers, or check which column is the target",
    )


# Groups --------------------------------------------------------------------------------------


def _grouped(reading: Reading, spec: SplitSpec) -> tuple[Example, ...]:
    """Return the examples with the user's column as their group."""
    if spec.group_by is None:
        return reading.examples
    values = _column(reading, spec.group_by)
    return tuple(
        example if value is None else example.model_copy(update={"group": value})
        for example, value in zip(reading.examples, values, strict=True)
    )


def _column(reading: Reading, column: str) -> tuple[str | None, ...]:
    """Return the column as text, one value an example, None where a row has none.

    Raises:
        DataError: no row has it (DAT-007).
    """
    values = tuple(column_value(example, column, reading) for example in reading.examples)
    if reading.examples and all(value is None for value in values):
        seen = sorted({name for example in reading.examples for name in example.fields})
        raise missing_column(column, seen, where=reading.sources[0].name)
    return values


def column_value(example: Example, column: str, reading: Reading) -> str | None:
    """Return the value of a column of the user's file, also of one that holds the content."""
    used: Mapping[str | tuple[str, ...] | None, str | None] = {
        reading.columns.context: example.context,
        reading.columns.input: example.input,
        reading.columns.target: target_text(example.target),
    }
    return example.fields.get(column, used.get(column))


def _without_leaks(
    given: Sequence[Example], roots: Sequence[int], duplicates: Duplicates
) -> tuple[tuple[int, ...], tuple[Drop, ...]]:
    """Return the rows that share no group with a test row, and a drop for each of the others."""
    held_out = set(roots[len(given) :])
    exact = set(duplicates.exact_roots[len(given) :])
    near = set(duplicates.near_roots[len(given) :])
    reworded = set(duplicates.roots[len(given) :])
    kept: list[int] = []
    drops: list[Drop] = []
    for row, example in enumerate(given):
        if roots[row] not in held_out:
            kept.append(row)
            continue
        reason = PARAPHRASES_TEST if duplicates.roots[row] in reworded else GROUP_OF_TEST
        reason = NEARLY_REPEATS_TEST if duplicates.near_roots[row] in near else reason
        reason = REPEATS_TEST if duplicates.exact_roots[row] in exact else reason
        drops.append(Drop(source=example.source, row=example.row, reason=reason))
    return tuple(kept), tuple(drops)


# Splits --------------------------------------------------------------------------------------


def _places(
    given: Sequence[Example],
    kept: Sequence[int],
    *,
    roots: Sequence[int],
    spec: SplitSpec,
    own_test: bool,
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the rows of each split."""
    examples = [given[row] for row in kept]
    strata = strata_of(examples, spec)
    items = [
        Item(name=example.content_digest, group=roots[row], stratum=stratum)
        for row, example, stratum in zip(kept, examples, strata, strict=True)
    ]
    sizes = sizes_for(len(items), spec, own_test=own_test)
    assigned = assign(items, sizes, seed=spec.seed, chosen_groups=spec.group_by is not None)
    return tuple(
        (split, tuple(row for row, place in zip(kept, assigned, strict=True) if place == split))
        for split in ("train", "dev", "test", "audit")
    )


def strata_of(examples: Sequence[Example], spec: SplitSpec) -> tuple[str, ...]:
    """Return for every example the value that is kept in proportion; empty text where none is.

    Raises:
        DataError: no row has the column `spec.stratify_by` (DAT-007).
    """
    if spec.stratify_by is not None:
        column = spec.stratify_by
        seen = sorted({name for example in examples for name in example.fields})
        if column not in seen:
            raise missing_column(column, seen, where=examples[0].source if examples else "data")
        return tuple(example.fields.get(column, "") for example in examples)
    output = output_of([example.target for example in examples])
    if isinstance(output, LabelOutput):
        return tuple(target_text(example.target) for example in examples)
    field = _closed_field(output.json_schema) if isinstance(output, JsonOutput) else None
    if field is None:
        return ("",) * len(examples)
    return tuple(target_text(_field_of(example.target, field)) for example in examples)


def _closed_field(schema: Mapping[str, JsonValue]) -> str | None:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return None
    closed = (
        name
        for name, part in properties.items()
        if name in required and isinstance(part, dict) and "enum" in part
    )
    return next(closed, None)


def _field_of(target: JsonValue, field: str) -> JsonValue:
    return target.get(field) if isinstance(target, dict) else None


def _shuffled(examples: Sequence[Example], seed: int) -> tuple[Example, ...]:
    """Return the examples in an order that depends on the seed and their content."""
    return tuple(
        sorted(examples, key=lambda e: (draw(seed, e.content_digest), e.source, e.row, e.id))
    )


def _snapshot(
    splits: Mapping[str, tuple[Example, ...]],
    tests: tuple[Example, ...],
    *,
    readings: Sequence[Reading],
    leaks: tuple[Drop, ...],
    duplicates: Duplicates,
    seed: int,
) -> Snapshot:
    taken = {example.id for examples in splits.values() for example in examples}
    return Snapshot(
        sources=tuple(source for reading in readings for source in reading.sources),
        train=TrainSplit(examples=splits["train"]),
        dev=DevSplit(examples=splits["dev"]),
        test=TestSplit(examples=splits["test"] or _own_ids(tests, taken)),
        audit=AuditSplit(examples=splits["audit"]),
        drops=(*(drop for reading in readings for drop in reading.drops), *leaks),
        seed=seed,
        duplicates=duplicates.duplicates,
        near_duplicates=duplicates.near_duplicates,
        paraphrases=duplicates.paraphrases,
        leaked=len(leaks),
    )


def _own_ids(tests: Sequence[Example], taken: set[str]) -> tuple[Example, ...]:
    """Put `test:` before an id that the training file uses for another row."""
    used = {*taken, *(example.id for example in tests)}
    renamed: list[Example] = []
    for example in tests:
        if example.id in taken:
            example = example.model_copy(update={"id": free_id(f"test:{example.id}", used)})
            used.add(example.id)
        renamed.append(example)
    return tuple(renamed)
