# pyright: standard
from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from freehold.core.sections import RetentionSpec
from freehold.models.local import LocalModel
from freehold.train.objectives import Batch
from freehold.train.processes import share_of
from freehold.train.retention import (
    EVERY,
    HELD_OUT_SHARE,
    LOOKS,
    ReplaySteering,
    Retention,
    divergence_on,
    replay_terms,
    retention,
    watched_rows,
    with_past,
)
from freehold.train.rows import TrainingRow

OpenTiny = Callable[..., LocalModel]
RowsOf = Callable[[int], Sequence[TrainingRow]]
SPEC = RetentionSpec(replay=0.25, weight=2.0, past=0.2, top_k=8, kl_budget=1e-4)
CPU = torch.device("cpu")


@pytest.fixture
def base(open_tiny: OpenTiny) -> LocalModel:
    return open_tiny()


@pytest.fixture
def held(base: LocalModel, rows_of: RowsOf) -> Retention:
    general = retention(SPEC, rows_of(40), base=base)
    return with_past(general, rows_of(6), previous=base)


def steering_of(held: Retention, base: LocalModel) -> ReplaySteering:
    return ReplaySteering(held, base.loaded.network.module, steps=100, batch_tokens=256)


def shifted(base: LocalModel) -> None:
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in base.loaded.network.module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def test_watched_rows_are_never_replayed_and_every_row_is_one_of_both(held: Retention) -> None:
    watched, general = ([row.row.ids for row in rows] for rows in (held.watched, held.general))
    assert len(watched) == int(HELD_OUT_SHARE * 40)
    assert len(watched) + len(general) == 40
    assert all(row.row.answer_start == 1 for row in held.general)
    assert all(row.row.answer_start > 1 for row in held.past)
    assert {row.top_ids_NK.shape[1] for row in held.general} == {8}


def test_the_digest_names_everything_that_decides_the_training(
    held: Retention, base: LocalModel, rows_of: RowsOf
) -> None:
    past = rows_of(6)
    general = [
        retention(SPEC.model_copy(update={"weight": 1.0}), rows_of(40), base=base),
        retention(SPEC.model_copy(update={"curvature": 1.0}), rows_of(40), base=base),
        retention(SPEC, rows_of(39), base=base),
        retention(SPEC, rows_of(40), base=base, all_positions=False),
    ]
    other = [retention(SPEC, rows_of(40), base=base)]
    other += [with_past(one, past, previous=base) for one in general]
    assert len({held.digest, *(one.digest for one in other)}) == 6
    again = with_past(retention(SPEC, rows_of(40), base=base), past, previous=base)
    assert again.digest == held.digest


def test_earlier_domains_add_a_curvature_of_their_own(
    base: LocalModel, rows_of: RowsOf, held: Retention
) -> None:
    general = retention(SPEC, rows_of(40), base=base)
    assert general.curvature is not None and held.curvature is not None
    (name, of_general), of_both = next(iter(general.curvature.items())), held.curvature
    assert general.curvature.keys() == of_both.keys()
    assert float(of_both[name].outputs.trace()) > float(of_general.outputs.trace())
    assert with_past(general, [], previous=base) is general
    without = SPEC.model_copy(update={"curvature": 0.0})
    assert retention(without, rows_of(40), base=base).curvature is None
    assert retention(SPEC, rows_of(40), base=base, layers=()).curvature is None


def tokens_of(batches: Sequence[Batch]) -> int:
    return sum(batch.tokens for batch in batches)


def test_replay_fills_its_share_of_a_step_and_follows_the_controller(
    held: Retention, base: LocalModel
) -> None:
    steering = steering_of(held, base)
    general, past = replay_terms(held, steering, CPU, step_tokens=lambda _step: 160, seed=1)
    longest = max(len(row.row.ids) for row in (*held.general, *held.past))
    for share in (0.25, 0.5):
        steering.controller.share = share
        tokens = sum(tokens_of(general.batches(step)) for step in range(EVERY))
        wanted = EVERY * share / (1 - share) * 160
        assert wanted - longest < tokens < wanted + longest
    assert 40 - longest < tokens_of(past.batches(3)) < 40 + longest
    assert (general.weight(), past.weight()) == (EVERY * 2.0, 1.0)
    steering.controller.weight = 0.5
    assert general.weight() == EVERY * 0.5
    assert general.is_replay
    assert past.is_replay


def test_which_rows_a_step_replays_is_a_function_of_seed_and_step(
    held: Retention, base: LocalModel
) -> None:
    def drawn(seed: int, step: int) -> list[list[int]]:
        steering = steering_of(held, base)
        term = replay_terms(held, steering, CPU, step_tokens=lambda _step: 300, seed=seed)[0]
        return [batch.tokens_BT.tolist() for batch in term.batches(step)]

    one, other = 5 * EVERY, 6 * EVERY
    assert drawn(1, one) == drawn(1, one) != []
    assert drawn(1, one) != drawn(1, other)
    assert drawn(1, one) != drawn(2, one)


def test_processes_divide_what_is_replayed(held: Retention, base: LocalModel) -> None:
    def passed(count: int) -> list[int]:
        found: list[int] = []
        for rank in range(count):
            term = replay_terms(
                held,
                steering_of(held, base),
                CPU,
                step_tokens=lambda _step: 300,
                seed=1,
                share=lambda step, rank=rank: share_of(step, rank=rank, count=count),
            )[0]
            found += [
                place for batch in term.batches(4 * EVERY) for place in batch.targets_N.tolist()
            ]
        return sorted(found)

    assert passed(3) == passed(1) != []


def test_nothing_is_replayed_where_the_share_is_zero(held: Retention, base: LocalModel) -> None:
    none = Retention(SPEC.model_copy(update={"replay": 0.0, "past": 0.0}), held.general, ())
    steering = steering_of(none, base)
    assert replay_terms(none, steering, CPU, step_tokens=lambda _step: 300, seed=1) == ()
    assert not any(steering.is_due(step) for step in range(1, 101))


def test_the_controller_looks_about_so_often_and_acts_on_what_it_sees(
    held: Retention, base: LocalModel
) -> None:
    steering = steering_of(held, base)
    looks = [step for step in range(1, 101) if steering.is_due(step)]
    assert LOOKS / 2 <= len(looks) <= 2 * LOOKS
    assert steering.look(looks[0]).divergence == pytest.approx(0.0, abs=1e-5)
    shifted(base)
    weight = steering.controller.weight
    seen = steering.look(looks[1])
    assert seen.divergence > SPEC.kl_budget
    assert seen.weight == steering.controller.weight > weight
    fresh = steering_of(held, base)
    fresh.restore(steering.state())
    assert fresh.controller == steering.controller


def test_the_early_warning_is_zero_on_the_base_and_rises_when_it_moves(
    base: LocalModel, rows_of: RowsOf, held: Retention
) -> None:
    rows = watched_rows([row.row for row in held.general], base, top_k=300)
    measure = divergence_on(rows, base.loaded.network.module, batch_tokens=64)
    together = divergence_on(rows, base.loaded.network.module, batch_tokens=10_000)
    assert measure() == pytest.approx(0.0, abs=1e-5)
    shifted(base)
    assert measure() > 0.01
    assert measure() == pytest.approx(together(), rel=1e-4)
