# pyright: standard
"""A cross-encoder, made on the spot: it cannot tell what fits, but it is read and asked like a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.tiny import tokenizer
from tests.retrieve.meaning import embed
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from freehold.core.errors import ModelError
from freehold.data.chunk import ChunkSpec
from freehold.data.documents import Document
from freehold.models.rerank import open_reranker
from freehold.retrieve.index import open_index


def save_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    words = tokenizer(template=None)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        pad_token_id=len(words) - 1,
        initializer_range=0.5,
    )
    config.num_labels = labels
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@torch.inference_mode()
def test_a_question_and_texts_get_the_scores_of_the_plain_recipe(tmp_path: Path) -> None:
    folder = save_cross_encoder(tmp_path / "cross")
    rerank = open_reranker(str(folder), cache=tmp_path)
    texts = ["I lost my card", "Top up failed", "a refund of the exchange rate " * 5]
    words = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    plain = [network(**words("lost?", text, return_tensors="pt")).logits.item() for text in texts]
    np.testing.assert_allclose(
        rerank("lost?", texts), 1 / (1 + np.exp(-np.asarray(plain))), atol=1e-5
    )
    assert rerank("lost?", []).shape == (0,)


def test_a_search_is_put_in_the_order_of_the_cross_encoder(tmp_path: Path) -> None:
    rerank = open_reranker(str(save_cross_encoder(tmp_path / "cross")), cache=tmp_path)
    documents = [
        Document(id=f"d{n}", title="", text=f"card {n} " * n, access=("hr",) if n % 2 else ())
        for n in range(1, 12)
    ]
    with open_index(None, embed=embed, embedder="tests") as index:
        index.update(documents, chunk=ChunkSpec(size=400))
        (plain,) = index.search(["card"], k=11)
        (found,) = index.search(["card"], k=3, rerank=rerank)
    scores = dict(
        zip(
            [one.passage.id for one in plain],
            rerank("card", [one.passage.whole for one in plain]).tolist(),
            strict=True,
        )
    )
    assert len(plain) == 5
    assert [one.passage.id for one in found] == sorted(scores, key=lambda id: -scores[id])[:3]
    assert [one.score for one in found] == pytest.approx(
        sorted(scores.values())[::-1][:3], abs=1e-5
    )


def test_what_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="DOC-008"):
        open_reranker(str(save_cross_encoder(tmp_path / "three", labels=3)), cache=tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="MDL-004"):
        open_reranker(str(tmp_path / "empty"), cache=tmp_path)
