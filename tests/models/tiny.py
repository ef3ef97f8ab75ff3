# pyright: standard
"""Tiny random models of real architectures, with a tokenizer that is trained on the spot."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

ARCHITECTURES = ("llama", "qwen3", "gemma3", "mistral", "phi3")
WINDOW = 24  # shorter than the prompts of the tests, so that sliding windows matter
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SPECIAL = ["<pad>", "<bos>", "<eos>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEXT = (
    "The card payment was declined, why is my card not working? I lost my card and want a new one.",
    "Top up failed, transfer pending, exchange rate, cash withdrawal, refund not showing up.",
    '{"name": "Ann", "age": 7, "tags": ["red", "blue"]} label answer question text 0123456789',
)


def tokenizer(*, template: str | None = TEMPLATE, bos: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 330 tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXT * 3, trainer)
    if bos:
        from tokenizers.processors import TemplateProcessing

        bpe.post_processor = TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", SPECIAL.index("<bos>"))]
        )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<eos>", bos_token="<bos>", pad_token="<pad>"
    )
    wrapped.chat_template = template
    return wrapped


def module(
    architecture: str, *, vocabulary: int, seed: int = 0, hidden: int = 32
) -> PreTrainedModel:
    """A random model with weights large enough to have opinions."""
    torch.manual_seed(seed)
    size = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": SPECIAL.index("<bos>"),
        "eos_token_id": [SPECIAL.index("<eos>"), SPECIAL.index("<|end|>")],
        "pad_token_id": SPECIAL.index("<pad>"),
        "initializer_range": 0.3,
    }
    built: PreTrainedModel
    match architecture:
        case "llama":
            built = LlamaForCausalLM(LlamaConfig(**size))
        case "qwen2":
            built = Qwen2ForCausalLM(Qwen2Config(**size))
        case "qwen3":
            built = Qwen3ForCausalLM(Qwen3Config(**size, head_dim=8))
        case "gemma3":
            config = Gemma3TextConfig(
                **size,
                head_dim=8,
                sliding_window=WINDOW,
                layer_types=["sliding_attention", "full_attention"],
                query_pre_attn_scalar=8,
                tie_word_embeddings=False,
            )
            built = Gemma3ForCausalLM(config)
        case "mistral":
            built = MistralForCausalLM(MistralConfig(**size, sliding_window=WINDOW))
        case "phi3":
            built = Phi3ForCausalLM(Phi3Config(**size, sliding_window=WINDOW))
        case _:
            raise ValueError(architecture)
    return built.eval()


def save_model(folder: Path, architecture: str = "llama", *, seed: int = 0) -> Path:
    """Write a whole model folder."""
    words = tokenizer()
    model = module(architecture, vocabulary=len(words), seed=seed)
    model.generation_config.eos_token_id = model.config.eos_token_id
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
