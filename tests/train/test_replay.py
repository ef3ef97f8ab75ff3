# pyright: standard
from __future__ import annotations

from collections.abc import Callable

import pytest

from freehold.core.message import assistant, system, user
from freehold.models.local import LocalModel
from freehold.train.replay import Pool, PoolSpec, pool_key, prompt_text, self_prompts
from freehold.train.rows import TrainingRow

OpenTiny = Callable[..., LocalModel]
SPEC = PoolSpec(prompts=6, seed=3)


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def pool(open_tiny: OpenTiny, told: list[tuple[int, int]]) -> Pool:
    told.clear()
    return self_prompts(open_tiny(), SPEC, on_progress=lambda *done: told.append(done))


def test_the_same_base_and_settings_give_the_same_pool(open_tiny: OpenTiny, pool: Pool) -> None:
    assert self_prompts(open_tiny(), SPEC) == pool


def test_conversations_take_turns_and_end_with_what_is_to_be_answered(pool: Pool) -> None:
    for row in pool.rows:
        turns = [turn.role for turn in row.prompt if turn.role != "system"]
        assert turns == ["user", "assistant"] * (len(turns) // 2) + ["user"]
        assert "system" not in [turn.role for turn in row.prompt[1:]]
        assert row.answer.strip()
        assert all(turn.content.strip() for turn in row.prompt)


def test_no_more_is_kept_than_was_asked_for_and_what_is_left_out_is_counted(
    pool: Pool, told: list[tuple[int, int]]
) -> None:
    assert len(pool.rows) <= 6
    assert told[-1] == (len(pool.rows), 6)
    assert all(count > 0 for count in pool.dropped.values())
    assert len({prompt_text(row) for row in pool.rows}) == len(pool.rows)


def test_the_key_of_a_pool_changes_with_base_and_settings(open_tiny: OpenTiny) -> None:
    keys = {
        pool_key(open_tiny(), SPEC),
        pool_key(open_tiny(), PoolSpec(prompts=7, seed=3)),
        pool_key(open_tiny("qwen3"), SPEC),
    }
    assert len(keys) == 3
    assert pool_key(open_tiny(), SPEC) in keys


def test_the_text_of_a_prompt_is_every_turn_of_it() -> None:
    row = TrainingRow(
        prompt=(system("Be kind."), user("One"), assistant("1"), user("Two")), answer="2"
    )
    assert prompt_text(row) == "Be kind.\nOne\n1\nTwo"
