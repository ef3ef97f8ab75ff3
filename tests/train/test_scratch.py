# pyright: standard
"""Training from scratch: a tiny run makes a folder that transformers reads, and a killed run loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from freehold.core.errors import DataError, FreeholdError
from freehold.train.decoder import Decoder
from freehold.train.scratch import ScratchEvent, ScratchSpec, learning_rate, mixture, scratch
from freehold.train.scratch_batches import Batches, MicroBatch, PoolSize, Row, bucket, micro_batches
from freehold.train.scratch_texts import read_texts, sentences_of
from freehold.train.tokenizer import SPECIAL_TOKENS, train_tokenizer

SPEC = ScratchSpec(
    hidden=32,
    layers=2,
    heads=2,
    feed_forward=48,
    vocabulary=400,
    context=128,
    tokens=12_000,
    batch_tokens=512,
    micro_tokens=256,
    warm_up_tokens=500,
    phases=(2_000, 4_100, 4_100, 8_200),
)
PROSE = "The ferry leaves at noon. It comes back in the evening. " * 40


class Killed(Exception):
    """Stands for whatever ends a run in the middle."""


def ignore(event: ScratchEvent) -> None:
    del event


def kill_at(step: int) -> Callable[[ScratchEvent], None]:
    def on_event(event: ScratchEvent) -> None:
        if event.step >= step:
            raise Killed

    return on_event


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """At this size threads cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "ferry.txt"
    path.write_text(PROSE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    folder = tmp_path_factory.mktemp("scratch")
    ticks = count(step=0.5)
    scratch(
        SPEC,
        folder=folder,
        texts=[text],
        on_event=ignore,
        clock=lambda: float(next(ticks)),
        compiled=False,
    )
    return folder


def test_transformers_computes_what_was_trained(finished: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(finished / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    weights = load_file(finished / "checkpoint.safetensors")
    embedded = weights["decoder.model.embed_tokens.weight"]
    torch.testing.assert_close(
        model.state_dict()["model.embed_tokens.weight"], embedded, atol=2e-3, rtol=1e-2
    )
    decoder = Decoder(SPEC.shape(), generator=torch.Generator())
    names = {k.removeprefix("decoder."): v for k, v in weights.items() if k.startswith("decoder.")}
    decoder.load_state_dict({k: v.bfloat16().float() for k, v in names.items()})
    tokens = tokenizer("Where is the ferry?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        theirs = model(tokens).logits
        with torch.autocast("cpu", torch.bfloat16):
            ours = decoder.logits(tokens)
    torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.05)


def test_the_chat_template_is_what_training_saw(finished: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    turns = [
        {"role": "system", "content": "Repeat."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    shown = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert shown == (
        "<|system|>Repeat.<|end|><|user|>a<|end|><|assistant|>a<|end|><|user|>b<|end|><|assistant|>"
    )
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == [0, 1, 2, 3, 4]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|end|>", "<|pad|>")


def test_a_killed_run_that_is_called_again_ends_with_the_same_weights(
    finished: Path, text: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        scratch(SPEC, folder=tmp_path, texts=[text], on_event=kill_at(10), compiled=False)
    assert not (tmp_path / "model").exists()
    scratch(SPEC, folder=tmp_path, texts=[text], on_event=ignore, compiled=False)
    once = load_file(finished / "checkpoint.safetensors")
    twice = load_file(tmp_path / "checkpoint.safetensors")
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[name], twice[name]) for name in once)
    assert _losses(finished) == _losses(tmp_path)


def _losses(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def test_a_finished_run_that_is_called_again_does_nothing(finished: Path, text: Path) -> None:
    before = (finished / "curve.jsonl").read_text(encoding="utf-8")
    told: list[ScratchEvent] = []
    scratch(SPEC, folder=finished, texts=[text], on_event=told.append, compiled=False)
    assert told == []
    assert (finished / "curve.jsonl").read_text(encoding="utf-8") == before


def test_the_loss_goes_down(finished: Path) -> None:
    losses = [loss for _, loss in _losses(finished)]
    assert losses[0] > losses[-1]


def test_a_folder_of_another_run_is_refused(finished: Path) -> None:
    other = SPEC.model_copy(update={"seed": 1})
    with pytest.raises(FreeholdError, match="TRN-003"):
        scratch(other, folder=finished, on_event=ignore, compiled=False)


def test_the_number_of_tokens_may_change_between_calls(text: Path) -> None:
    longer = SPEC.model_copy(update={"tokens": 9_000})
    assert longer.identity(["a"]) == SPEC.identity(["a"])
    assert SPEC.identity(["b"]) != SPEC.identity(["a"])
    assert learning_rate(SPEC, 3_000) == learning_rate(longer, 3_000)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=38_000_000))
def test_the_learning_rate_stays_within_its_bounds(tokens: int) -> None:
    spec = ScratchSpec()
    assert 0 < learning_rate(spec, tokens) <= spec.learning_rate


def test_one_mixture_serves_all_steps_of_a_pool() -> None:
    spec = ScratchSpec()
    for first in range(0, 1000, 8):
        assert all(mixture(spec, first + i) == mixture(spec, first) for i in range(8))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden": 30}, "not a multiple"),
        ({"mixture": {"cooking": 1.0}}, "no family 'cooking'"),
        ({"mixture": {"prose": 1.0}}, "a family with a share above 0"),
        ({"depth": 4}, "Extra inputs"),
    ],
)
def test_an_impossible_spec_is_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ScratchSpec.model_validate(SPEC.model_dump() | setting)


ROWS = st.lists(
    st.integers(min_value=2, max_value=120).map(lambda n: Row(tuple(range(5, 5 + n)), (1.0,) * n)),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(ROWS, st.sampled_from([16, 64, 256]))
def test_micro_batches_hold_every_token_once_and_stay_small(rows: list[Row], most: int) -> None:
    cut = micro_batches(rows, micro_tokens=most, pad=0)
    assert sum(int(b.weights_BT.sum()) for b in cut) == sum(len(r.tokens) - 1 for r in rows)
    for batch in cut:
        count_rows, length = batch.tokens_BT.shape
        assert count_rows * length <= most or count_rows == 1
        assert length == bucket(length)
        shifted = batch.tokens_BT[:, 1:] == batch.targets_BT[:, :-1]
        assert np.all(shifted | (batch.weights_BT[:, 1:] == 0))


def test_the_data_of_a_step_depend_on_the_seed_and_the_step_alone(finished: Path) -> None:
    tokenizer = Tokenizer.from_file(str(finished / "tokenizer.json"))
    size = PoolSize(step_tokens=512, micro_tokens=256, context=128)

    def drawn(batches: Batches, step: int, seed: int) -> tuple[MicroBatch, ...]:
        return batches.step(step, seed=seed, size=size, mixture=mixture(SPEC, step))

    one, two = (Batches(tokenizer, texts=[PROSE], sentences=()) for _ in range(2))
    drawn(one, 0, 1)
    for a, b in zip(drawn(one, 9, 1), drawn(two, 9, 1), strict=True):
        assert np.array_equal(a.tokens_BT, b.tokens_BT)
        assert np.array_equal(a.weights_BT, b.weights_BT)
    three = Batches(tokenizer, texts=[PROSE], sentences=())
    assert drawn(three, 9, 2)[0].tokens_BT.tobytes() != drawn(two, 9, 1)[0].tokens_BT.tobytes()


@settings(deadline=None, max_examples=50)
@given(st.text())
def test_the_tokenizer_gives_back_any_text(text: str) -> None:
    tokenizer = TOKENIZER
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


TOKENIZER = train_tokenizer([PROSE, "Lost GARDEN 1234", '{"a": "b"}'], vocabulary=330)


def test_capitals_are_spelled_and_digits_stand_alone() -> None:
    assert TOKENIZER.encode("GARDEN").tokens == list("GARDEN")
    assert TOKENIZER.encode("12 34").tokens == ["1", "2", "Ġ", "3", "4"]


def test_sentences_are_plain_and_listed_once() -> None:
    text = "A short one. This is a plain sentence here.\nCode x = 3 * y is not plain.\n" * 2
    assert sentences_of([text]) == ("This is a plain sentence here.",)


def test_a_text_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "one"}\n{"body": "two"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"row 2 of .*rows\.jsonl"):
        read_texts([rows])
    with pytest.raises(DataError, match="no text file"):
        read_texts([tmp_path / "absent.txt"])
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_texts([tmp_path / "binary.txt"])
