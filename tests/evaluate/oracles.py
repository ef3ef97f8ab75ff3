# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""Independent implementations by other people, behind plain types: these packages ship none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.chrf import CHRF
from scipy import stats
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

_ROUGE = RougeScorer(["rougeL"])
_CHRF = CHRF()


def statsmodels_wilson(right: int, n: int, confidence: float) -> tuple[float, float]:
    low, high = proportion_confint(right, n, alpha=1 - confidence, method="wilson")
    return float(low), float(high)


def statsmodels_holm(p_values: Sequence[float]) -> tuple[float, ...]:
    adjusted = multipletests(list(p_values), method="holm")[1]
    return tuple(float(value) for value in np.asarray(adjusted))


def statsmodels_mcnemar(first_only: int, second_only: int) -> float:
    return float(mcnemar([[5, first_only], [second_only, 7]], exact=True).pvalue)


def scipy_binomial(
    right: int, n: int, p: float, alternative: Literal["two-sided", "greater"]
) -> float:
    return float(stats.binomtest(right, n, p, alternative=alternative).pvalue)


def scipy_binomial_weights(n: int, p: float) -> list[float]:
    return [float(weight) for weight in stats.binom.pmf(np.arange(n + 1), n, p)]


def scipy_multinomial_weight(counts: Sequence[int], p: Sequence[float]) -> float:
    return float(stats.multinomial.pmf(list(counts), sum(counts), list(p)))


def scipy_sign_flip(differences: Sequence[float]) -> float:
    found = stats.permutation_test(
        (np.asarray(differences),), np.sum, permutation_type="samples", n_resamples=math.inf
    )
    return float(found.pvalue)


def scipy_t_test(differences: Sequence[float]) -> float:
    return float(stats.ttest_1samp(np.asarray(differences), 0.0).pvalue)


def sklearn_macro_f1(truth: Sequence[str], said: Sequence[str]) -> float:
    wanted = sorted(set(truth))
    return float(f1_score(truth, said, labels=wanted, average="macro", zero_division=0))


def rouge_score_l(answer: str, target: str) -> float:
    return float(_ROUGE.score(target, answer)["rougeL"].fmeasure)


def sacrebleu_chrf(answer: str, target: str) -> float:
    return float(_CHRF.sentence_score(answer, [target]).score) / 100
