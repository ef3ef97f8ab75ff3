# pyright: standard
"""Plain texts scored and continued by a local model, against plain passes and lm-eval's own backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models import tiny

from freehold.core.outcome import Cause, Failed
from freehold.core.sections import BaseModelSpec
from freehold.models.door import Generation, PlainText, TextScore
from freehold.models.local import LocalModel, open_local
from freehold.models.scripted import ScriptedModel
from freehold.models.sources import ACORN, bundled_folder
from freehold.models.texts import MOST_NODES, TextPair, text_rows

PAIRS = (
    ("Question: Is the sky blue?\nAnswer:", " yes"),
    ("Question: Is the sky blue?\nAnswer:", " no, it is not"),
    ("Question: Is the sky blue?\nAnswer:", " no, never"),
    ("Sarah was a better surgeon than Maria so Sarah", " got the easy cases."),
    ("Sarah was a better surgeon than Maria so Maria", " got the easy cases."),
    ("", "The cat sits."),
    ("", "The cat sit."),
    ("It ends with spaces  ", "here"),
    ("Nothing follows", ""),
)


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalModel]:
    folder = tiny.save_model(tmp_path_factory.mktemp("models") / request.param, request.param)
    opened = open_local(BaseModelSpec(id=str(folder)), cache=Path("unused"))
    yield opened
    opened.close()


@torch.inference_mode()
def plain_score(model: LocalModel, context: str, rest: str) -> tuple[float, bool]:
    chat = model.loaded.chat
    bare = context.rstrip()
    start = chat.plain_ids([bare])[0]
    whole = chat.plain_ids([context + rest])[0]
    ids = [*start, *whole[len(start) :]] if start else [chat.start_id, *whole]
    first = len(start) or 1
    logits = model.loaded.network.module(torch.tensor([ids])).logits[0].float()
    logprobs = torch.log_softmax(logits, dim=-1)
    each = [float(logprobs[place - 1, ids[place]]) for place in range(first, len(ids))]
    greedy = [int(logits[p - 1].argmax()) == ids[p] for p in range(first, len(ids))]
    return sum(each), all(greedy)


def test_texts_read_together_score_as_read_alone(model: LocalModel) -> None:
    contexts, rests = zip(*PAIRS, strict=True)
    found = model.score_texts(contexts, rests)
    for (context, rest), score in zip(PAIRS, found, strict=True):
        assert isinstance(score, TextScore)
        logprob, is_greedy = plain_score(model, context, rest)
        assert score.logprob == pytest.approx(logprob, abs=1e-4)
        assert score.is_greedy == is_greedy


def test_a_text_that_does_not_fit_fails_and_others_are_scored(model: LocalModel) -> None:
    heard: dict[int, object] = {}
    found = model.score_texts(
        ["word " * 5000, "a b"],
        [" c", " c"],
        on_answer=lambda place, one: heard.update({place: one}),
    )
    assert isinstance(found[0], Failed)
    assert found[0].cause is Cause.TOO_LONG
    assert isinstance(found[1], TextScore)
    assert heard == dict(enumerate(found))


def test_continuations_end_before_a_stop_text(model: LocalModel) -> None:
    (free,) = model.continue_texts(["The cat sits"], max_tokens=12)
    assert isinstance(free, Generation)
    stop = free.text[len(free.text) // 2 :][:2]
    if stop:
        (cut,) = model.continue_texts(["The cat sits"], max_tokens=12, until=[stop])
        assert isinstance(cut, Generation)
        assert cut.text == free.text[: free.text.index(stop)]


def test_models_say_whether_they_take_plain_text(model: LocalModel) -> None:
    assert isinstance(model, PlainText)
    assert isinstance(ScriptedModel({}), PlainText)


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 2), min_size=1, max_size=6),
            st.lists(st.integers(0, 2), min_size=1, max_size=6),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_rows_hold_every_pair_once_with_its_tokens_in_order(
    drawn: list[tuple[list[int], list[int]]],
) -> None:
    pairs = [TextPair((*start, *rest), len(start)) for start, rest in drawn]
    rows = text_rows(pairs)
    assert sorted(place for row in rows for place in row.members) == list(range(len(pairs)))
    for row in rows:
        assert row.root
        assert row.nodes <= MOST_NODES
        for place, path, skipped in zip(row.members, row.trie.paths, row.skipped, strict=True):
            spelt = tuple(row.trie.edge_token[edge] for edge in path)
            assert (*row.root, *spelt) == pairs[place].tokens
            assert len(row.root) + skipped == pairs[place].scored_from


@pytest.mark.filterwarnings("ignore")
def test_scores_and_texts_are_those_of_lm_evals_own_backend() -> None:
    huggingface = pytest.importorskip("lm_eval.models.huggingface")
    from lm_eval.api.instance import Instance

    other = huggingface.HFLM(
        pretrained=str(bundled_folder()), dtype="float32", batch_size=4, device="cpu"
    )
    ours = open_local(BaseModelSpec(id=ACORN), cache=Path("unused"))
    pairs = [pair for pair in PAIRS if pair[1]]
    theirs = other.loglikelihood(
        [Instance("loglikelihood", {}, pair, 0) for pair in pairs], disable_tqdm=True
    )
    contexts, rests = zip(*pairs, strict=True)
    for found, (logprob, is_greedy) in zip(ours.score_texts(contexts, rests), theirs, strict=True):
        assert isinstance(found, TextScore)
        assert found.logprob == pytest.approx(logprob, abs=1e-4)
        assert found.is_greedy == is_greedy
    prompts = ["The sky is", "Question: Who are you?\nAnswer:"]
    settings = {"until": ["\n"], "max_gen_toks": 12, "do_sample": False}
    written = other.generate_until(
        [Instance("generate_until", {}, (prompt, settings), 0) for prompt in prompts],
        disable_tqdm=True,
    )
    made = ours.continue_texts(prompts, max_tokens=12, until=["\n"])
    assert [one.text for one in made if isinstance(one, Generation)] == written
    ours.close()
