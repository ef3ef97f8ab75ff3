from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import DataError
from freehold.core.sections import Columns
from freehold.data.traffic import compare_with_traffic, read_inputs

WORDS = ["card", "order", "late", "refund", "please", "where", "when", "help", "account", "money"]


def texts(count: int, seed: int, extra: tuple[str, ...] = ()) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices([*WORDS, *extra], k=8)) for _ in range(count)]


def test_samples_of_one_kind_are_rarely_told_apart() -> None:
    told = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = compare_with_traffic(texts(150, seed), texts(150, seed + 100), rng=rng)
        told += found.differs
        assert found.chance_low < 0.5 < found.chance_high
    assert told <= 2


def test_another_vocabulary_and_length_is_seen_and_named() -> None:
    traffic = [f"{text} {text} crypto" for text in texts(200, 2, ("wallet", "wallet"))]
    found = compare_with_traffic(texts(200, 1), traffic, rng=np.random.default_rng(0))
    assert found.differs and found.area > 0.9
    assert {shift.word for shift in found.more_in_traffic} >= {"crypto", "wallet"}
    assert found.characters[0] < found.characters[1]


def test_inputs_are_read_from_rows_without_an_answer(tmp_path: Path) -> None:
    lines = [{"text": f"hello {n}"} for n in range(20)]
    chat = {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "last"}]}
    file = tmp_path / "traffic.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*lines, chat, {"text": " "}]))
    found = read_inputs("traffic.jsonl", columns=Columns(), root=tmp_path)
    assert len(found) == 21 and found[-1] == "last"
    file.write_text(json.dumps({"text": "alone"}))
    with pytest.raises(DataError) as caught:
        read_inputs("traffic.jsonl", columns=Columns(), root=tmp_path)
    assert caught.value.problems[0].code == "DAT-010"
