"""Every rung, in the order of the ladder. A new rung is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from freehold.core.sections import RungName
from freehold.ladder import (
    baseline,
    distil,
    few_shot,
    full,
    lora,
    lora_retrieve,
    prefer,
    retrieve,
    structured,
    zero_shot,
)
from freehold.ladder.rung import Rung

RUNGS: Mapping[RungName, Rung] = {
    "baseline": baseline.RUNG,
    "zero_shot": zero_shot.RUNG,
    "few_shot": few_shot.RUNG,
    "structured": structured.RUNG,
    "retrieve": retrieve.RUNG,
    "lora": lora.RUNG,
    "lora+retrieve": lora_retrieve.RUNG,
    "prefer": prefer.RUNG,
    "distil": distil.RUNG,
    "full": full.RUNG,
}
