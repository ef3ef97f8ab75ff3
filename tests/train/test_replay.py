# pyright: standard
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.core.message import assistant, system, user
from freehold.core.sections import BaseModelSpec
from freehold.evaluate.probes import probe_items
from freehold.models.local import LocalModel, open_local
from freehold.train.replay import (
    Pool,
    PoolSpec,
    brought_prompts,
    pool_key,
    prompt_text,
    replay_pool,
    self_prompts,
    write_prompts,
)
from freehold.train.rows import TrainingRow

OpenTiny = Callable[..., LocalModel]
SPEC = PoolSpec(prompts=6, seed=3)


@pytest.fixture(scope="module")
def acorn(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A base that does end its turns, as a random one does not."""
    return open_local(BaseModelSpec(), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def pool(open_tiny: OpenTiny, told: list[tuple[int, int]]) -> Pool:
    told.clear()
    return self_prompts(open_tiny(), SPEC, on_progress=lambda *done: told.append(done))


def test_the_same_base_and_settings_give_the_same_pool(open_tiny: OpenTiny, pool: Pool) -> None:
    assert self_prompts(open_tiny(), SPEC) == pool


def test_conversations_take_turns_and_end_with_what_is_to_be_answered(acorn: LocalModel) -> None:
    pool = self_prompts(acorn, PoolSpec(prompts=4, seed=3))
    assert len(pool.rows) == 4
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


def test_prompts_that_a_base_brought_come_first_as_the_base_answers_them(acorn: LocalModel) -> None:
    brought = brought_prompts(acorn.files.folder)
    told: list[tuple[int, int]] = []
    pool = replay_pool(
        acorn, PoolSpec(prompts=20), on_progress=lambda done, of: told.append((done, of))
    )
    assert told == sorted(told)
    assert told[-1] == (len(pool.rows), 20)
    assert len(told) >= 15
    assert {row.prompt for row in pool.rows} <= set(brought[:20])
    assert len(pool.rows) >= 15
    answers = acorn.generate([row.prompt for row in pool.rows], max_tokens=160)
    assert [row.answer for row in pool.rows] == [getattr(one, "text", None) for one in answers]


def test_no_brought_prompt_asks_what_a_probe_asks(acorn: LocalModel) -> None:
    brought = set(brought_prompts(acorn.files.folder))
    probes = {probe.messages for seed in range(5) for probe in probe_items(40, seed)}
    assert len(brought) > 1000
    assert not brought & probes


def test_prompts_that_were_written_are_read_again(tmp_path: Path) -> None:
    prompts = ((system("Say"), user("a\u2028b"), assistant("c"), user("d")), (user("e"),))
    write_prompts(prompts, tmp_path)
    assert brought_prompts(tmp_path) == prompts
    assert brought_prompts(tmp_path / "elsewhere") == ()


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
