import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ladder.tasks import example

from freehold.core.errors import ModelError
from freehold.core.measure import Estimate
from freehold.core.sections import MetricSpec
from freehold.core.snapshot import (
    AuditSplit,
    DevSplit,
    Example,
    Snapshot,
    TestSplit,
    TrainSplit,
)
from freehold.core.task import LabelOutput, Task
from freehold.core.transfer import Cell, TransferMatrix
from freehold.ladder.domains import (
    BUFFER_FILE,
    LEAST_REHEARSED,
    LINEAGE_FILE,
    Domain,
    Lineage,
    lineage_files,
    new_domain,
    read_lineage,
    rehearsed,
)
from freehold.models.scripted import ScriptedModel


def task(name: str = "colours") -> Task:
    return Task(
        name=name,
        instruction="Name the colour.",
        output=LabelOutput(labels=("red", "green")),
        metric=MetricSpec(primary="exact_match"),
    )


def snapshot(train: int = 40) -> Snapshot:
    rows = [
        example(n, f"a thing called {n}\u2028 \u00e9", "red" if n % 2 else "green")
        for n in range(train + 6)
    ]
    return Snapshot(
        sources=(),
        train=TrainSplit(examples=tuple(rows[:train])),
        dev=DevSplit(examples=tuple(rows[train : train + 3])),
        test=TestSplit(examples=tuple(rows[train + 3 :])),
        audit=AuditSplit(examples=()),
    )


def domain(name: str = "colours", taken: tuple[str, ...] = ()) -> Domain:
    return new_domain(task(name), snapshot(), root=Path("here"), max_tokens=9, taken=taken)


def lineage(*domains: Domain) -> Lineage:
    estimate = Estimate(mean=0.5, low=0.2, high=0.8, n=3)
    return Lineage(
        training="sha256:1",
        name="t1",
        base_id="freehold/acorn",
        base_digest="sha256:2",
        questions=tuple(one.question for one in domains),
        matrix=TransferMatrix(
            stages=("base", *(f"t{n}" for n in range(len(domains)))),
            domains=tuple(one.name for one in domains),
            cells=(Cell(stage=0, column=domains[0].name, quality=estimate),),
        ),
        probe_seed=3,
        probe_items=2,
    )


def write(folder: Path, *domains: Domain) -> None:
    for name, content in lineage_files(lineage(*domains), domains).items():
        (folder / name).write_bytes(content)


def test_a_lineage_comes_back_as_it_was_written(tmp_path: Path) -> None:
    first = domain()
    second = domain(taken=("colours",))
    write(tmp_path, first, second)
    found, domains = read_lineage(tmp_path)
    assert found == lineage(first, second)
    assert domains == (first, second)
    assert [one.name for one in domains] == ["colours", "colours (2)"]


def test_a_third_domain_of_one_name_is_the_third() -> None:
    assert domain(taken=("colours", "colours (2)")).name == "colours (3)"


def test_a_domain_is_asked_with_its_own_instruction_and_held_to_its_own_labels() -> None:
    answerer = domain().answerer(ScriptedModel(lambda _: "red"))
    messages = answerer.messages(example(1, "a ruby"))
    assert [m.content for m in messages] == ["Name the colour.", "a ruby"]
    assert answerer.asker.constraint is not None
    assert answerer.asker.max_tokens == 9


def test_held_out_rows_are_measured_with_and_never_rehearsed(tmp_path: Path) -> None:
    write(tmp_path, domain())
    _, (found,) = read_lineage(tmp_path)
    train = {row.id for row in snapshot().train.examples}
    assert {row.id for row in found.rehearsal} <= train
    assert {row.id for row in found.dev} == {row.id for row in snapshot().dev.examples}


@pytest.mark.parametrize("damage", ["missing", "buffer", "cut", "other"])
def test_a_folder_that_is_no_training_is_refused_with_its_reason(
    tmp_path: Path, damage: str
) -> None:
    write(tmp_path, domain())
    match damage:
        case "missing":
            (tmp_path / LINEAGE_FILE).unlink()
        case "buffer":
            (tmp_path / BUFFER_FILE).unlink()
        case "cut":
            content = (tmp_path / BUFFER_FILE).read_bytes()
            (tmp_path / BUFFER_FILE).write_bytes(content[: len(content) // 2])
        case _:
            (tmp_path / LINEAGE_FILE).write_text('{"kind": "something else"}')
    with pytest.raises(ModelError) as caught:
        read_lineage(tmp_path)
    assert caught.value.problems[0].code == "TRN-040"
    assert caught.value.problems[0].cause


answers = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=300)


@given(answers, st.integers(0, 5))
def test_a_tenth_is_rehearsed_and_every_answer_before_any_answer_twice(
    targets: list[str], seed: int
) -> None:
    rows: list[Example] = [example(n, str(n), target) for n, target in enumerate(targets)]
    found = rehearsed(rows, seed=seed)
    assert len(found) == min(max(round(0.1 * len(rows)), LEAST_REHEARSED), len(rows))
    assert len({row.id for row in found}) == len(found)
    counts = Counter(str(row.target) for row in found)
    if max(counts.values()) > 1:
        assert set(counts) == set(targets)
    assert rehearsed(rows, seed=seed) == found
    assert math.isfinite(len(found))
