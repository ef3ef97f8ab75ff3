# pyright: standard
"""Embeddings by the packaged model, and refusals of any other content under its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from freehold.core.errors import ModelError
from freehold.models.embed import DEFAULT_EMBEDDER, check_default, default_folder, open_embedder

TEXTS = (
    "I lost my card",
    "my card is gone, please help me find it " * 3,
    "Guten Tag",
    "",
    "I lost my card",
)


@torch.inference_mode()
def plain_vectors(texts: tuple[str, ...]) -> np.ndarray:
    """Mean of the last layer over a text's tokens, at unit length: Sentence-BERT's recipe."""
    folder = str(default_folder())
    words, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        hidden = network(**words(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(dim=0)
        rows.append((mean / mean.norm()).numpy())
    return np.stack(rows)


def test_texts_become_unit_vectors_as_by_the_plain_recipe(tmp_path: Path) -> None:
    embedder = open_embedder(DEFAULT_EMBEDDER, cache=tmp_path)
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension) == (5, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert np.abs(vectors - plain_vectors(TEXTS)).max() < 1e-5
    assert (vectors[0] == vectors[4]).all()
    assert embedder.encode([]).shape == (0, 384)
    assert embedder.digest.startswith("sha256:")


def test_other_weights_under_the_default_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="53aa51172d142c89") as caught:
        check_default(tmp_path)
    assert caught.value.problems[0].code == "MDL-014"
    assert "pip install" in caught.value.problems[0].help


def test_an_embedder_with_pickle_weights_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        open_embedder(str(tmp_path), cache=tmp_path)
    assert caught.value.problems[0].code == "MDL-004"
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        open_embedder(str(tmp_path), cache=tmp_path)
    assert caught.value.problems[0].code == "MDL-003"


def test_an_embedder_that_is_not_here_names_the_flag_that_downloads_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        open_embedder("nobody/no-such-embedder", cache=tmp_path)
    assert "--online" in caught.value.problems[0].help
