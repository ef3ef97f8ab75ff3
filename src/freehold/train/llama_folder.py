# pyright: standard
"""Write a decoder and its tokenizer as a plain Hugging Face folder: Llama, bfloat16 safetensors, no code."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue
from safetensors.torch import save
from tokenizers import Tokenizer

from freehold.train.checkpoint import write_whole
from freehold.train.decoder import NORM_EPSILON, ROTARY_BASE, Decoder, Shape
from freehold.train.tokenizer import END, PAD, special_id, tokenizer_config


def write_llama(shape: Shape, decoder: Decoder, tokenizer: Tokenizer, *, folder: Path) -> None:
    """Write the five files that transformers needs; each is replaced whole."""
    folder.mkdir(parents=True, exist_ok=True)
    end, pad = special_id(tokenizer, END), special_id(tokenizer, PAD)
    config: dict[str, JsonValue] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.hidden // shape.heads,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": NORM_EPSILON,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROTARY_BASE},
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": pad,
        "dtype": "bfloat16",
    }
    generation: dict[str, JsonValue] = {
        "do_sample": False,
        "eos_token_id": end,
        "pad_token_id": pad,
    }
    weights = {name: value.bfloat16().contiguous() for name, value in decoder.state_dict().items()}
    write_whole(folder / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    _write_json(folder / "tokenizer_config.json", tokenizer_config(context=shape.context))
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", generation)
    write_whole(folder / "model.safetensors", save(weights, metadata={"format": "pt"}))


def _write_json(path: Path, value: dict[str, JsonValue]) -> None:
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())
