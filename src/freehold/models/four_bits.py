# pyright: standard
"""Opening a model with its weights in 4 bits (NF4): what it needs, and how transformers is told.

Source: Dettmers et al. 2023, arXiv:2305.14314: normal-float 4, absolute maxima quantised again,
products in bfloat16.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from freehold.core.errors import ModelError

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig


def refuse_without_four_bits() -> None:
    """Say what is missing, where weights in 4 bits cannot be used.

    Raises:
        ModelError: there is no CUDA device, or bitsandbytes is not installed.
    """
    missing = [
        what
        for what, is_there in (
            ("a CUDA GPU", torch.cuda.is_available()),
            ("the package bitsandbytes", find_spec("bitsandbytes") is not None),
        )
        if not is_there
    ]
    if missing:
        raise ModelError(
            "MDL-022",
            f"weights in 4 bits (qlora) need {' and '.join(missing)}",
            help="freehold climb -s ladder.lora.kind=lora",
        )


def four_bit_config() -> BitsAndBytesConfig:
    """Return how transformers is to load the linear layers.

    Raises:
        ModelError: there is no CUDA device, or bitsandbytes is not installed.
    """
    refuse_without_four_bits()
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
