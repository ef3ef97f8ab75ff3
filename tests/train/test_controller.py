from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from freehold.core.sections import RetentionSpec
from freehold.train.controller import MOST_SHARE_FACTOR, MOST_WEIGHT, ReplayController

SPECS = st.builds(
    RetentionSpec,
    replay=st.floats(0.01, 0.5),
    weight=st.floats(0.01, 10.0),
    kl_budget=st.floats(0.001, 1.0),
)
SEEN = st.lists(st.floats(0.0, 3.0), max_size=40)
SPEC = RetentionSpec(replay=0.2, weight=1.0, kl_budget=0.1)


@given(spec=SPECS, seen=SEEN)
def test_whatever_is_seen_weight_and_share_stay_within_their_bounds(
    spec: RetentionSpec, seen: list[float]
) -> None:
    controller = ReplayController.start(spec)
    for divergence in seen:
        controller.adjust(divergence)
        assert 0 < controller.weight <= max(MOST_WEIGHT, spec.weight)
        assert spec.replay <= controller.share <= max(spec.replay, 0.5)
        assert controller.share <= MOST_SHARE_FACTOR * spec.replay + 1e-12


@given(spec=SPECS, seen=SEEN, later=SEEN)
def test_a_restored_controller_does_what_the_one_before_would_have_done(
    spec: RetentionSpec, seen: list[float], later: list[float]
) -> None:
    controller = ReplayController.start(spec)
    for divergence in seen:
        controller.adjust(divergence)
    restored = ReplayController.start(spec)
    restored.restore(json.loads(json.dumps(controller.state())))
    for divergence in later:
        controller.adjust(divergence)
        restored.adjust(divergence)
    assert restored == controller


@given(spec=SPECS, seen=SEEN)
def test_above_the_budget_nothing_is_ever_let_go(spec: RetentionSpec, seen: list[float]) -> None:
    controller = ReplayController.start(spec)
    for divergence in seen:
        controller.adjust(divergence)
        weight, share = controller.weight, controller.share
        controller.adjust(spec.kl_budget * 1.01)
        assert controller.weight >= weight
        assert controller.share >= share


def test_above_the_budget_the_weight_grows_first_and_the_share_when_it_can_grow_no_more() -> None:
    controller = ReplayController.start(SPEC)
    weights: list[float] = []
    while controller.weight < MOST_WEIGHT:
        controller.adjust(0.2)
        weights.append(controller.weight)
        assert controller.share == 0.2
    assert weights == sorted(set(weights))
    shares: list[float] = []
    for _ in range(3):
        controller.adjust(0.2)
        shares.append(round(controller.share, 4))
    assert (shares, controller.weight) == ([0.25, 0.25, 0.25], MOST_WEIGHT)


def test_between_half_of_the_budget_and_the_budget_nothing_moves() -> None:
    controller = ReplayController.start(SPEC)
    for divergence in (0.05, 0.07, 0.1):
        controller.adjust(divergence)
    assert controller == ReplayController.start(SPEC)


def test_well_within_the_budget_the_share_goes_back_before_the_weight_falls() -> None:
    controller = ReplayController(SPEC, weight=2.0, share=0.25)
    controller.adjust(0.01)
    assert (controller.weight, controller.share) == (2.0, 0.2)
    controller.adjust(0.01)
    assert controller.weight < 2.0
    assert controller.share == 0.2
