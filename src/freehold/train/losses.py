# pyright: standard
"""The losses of post-training as pure functions over log-probabilities, in one mapping.

Shapes: N positions that carry loss, P pairs, S answers, G answers of one prompt, V vocabulary, K of
its tokens. Log-probabilities are natural, so losses are in nats; every function returns one loss per
position, pair or answer, and whoever calls it sums. What is named `reference` or `teacher` is a
constant: no gradient is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

LARGEST_LOG_MASS = -1e-7
"""Logarithm of the most probability that top-k tokens may have together, so that a tail is left."""
ADVANTAGE_FLOOR = 1e-4
"""Added to the standard deviation of a group's rewards, as TRL does: a group of equals has none."""


def sft(logprobs_N: Tensor) -> Tensor:
    """Return the cross-entropy of each wanted token: -log p."""
    return -logprobs_N


def dft(logprobs_N: Tensor) -> Tensor:
    """Return -p log p with the factor p taken as a constant (Dynamic Fine-Tuning, arXiv:2508.05629).

    Cross-entropy is a policy gradient with the reward 1 / p; the factor takes that away, so that a
    token that the model thinks impossible does not move everything else.
    """
    return -logprobs_N.detach().exp() * logprobs_N


def dpo(
    chosen_P: Tensor,
    rejected_P: Tensor,
    *,
    reference_chosen_P: Tensor,
    reference_rejected_P: Tensor,
    beta: float,
) -> Tensor:
    """Return -log sigmoid(beta (log r_chosen - log r_rejected)), r = p / reference (arXiv:2305.18290).

    All four are log-probabilities of whole answers. Where the model is its reference, it is log 2.
    """
    chosen_ratio_P = chosen_P - reference_chosen_P
    rejected_ratio_P = rejected_P - reference_rejected_P
    return -functional.logsigmoid(beta * (chosen_ratio_P - rejected_ratio_P))


def orpo(chosen_P: Tensor, rejected_P: Tensor, *, beta: float) -> Tensor:
    """Return -beta log sigmoid(log odds(chosen) - log odds(rejected)) (arXiv:2403.07691, equation 7).

    Both are mean log-probabilities per token of an answer, log odds = log p - log(1 - p). The paper's
    loss has the cross-entropy of the chosen answer beside it, and calls beta lambda.
    """
    log_odds_P = (chosen_P - rejected_P) - (log_rest(chosen_P) - log_rest(rejected_P))
    return -beta * functional.logsigmoid(log_odds_P)


def simpo(chosen_P: Tensor, rejected_P: Tensor, *, beta: float, gamma: float) -> Tensor:
    """Return -log sigmoid(beta (chosen - rejected) - gamma) (arXiv:2405.14734, equation 6).

    Both are mean log-probabilities per token of an answer: there is no reference.
    """
    return -functional.logsigmoid(beta * (chosen_P - rejected_P) - gamma)


def kto(
    answers_S: Tensor,
    is_good_S: Tensor,
    *,
    reference_S: Tensor,
    baseline: Tensor,
    beta: float,
    weights: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
    """Return w (1 - sigmoid(+-beta (log r - z))), r = p / reference (arXiv:2402.01306, equation 8).

    Args:
        answers_S: log-probabilities of whole answers.
        is_good_S: whether each is wanted; the sign is + for these.
        reference_S: their log-probabilities under the reference.
        baseline: z, a constant of at least 0; see `kto_baseline`.
        beta: how far the model may leave the reference; larger is nearer.
        weights: w of good and of bad answers.
    """
    sign_S = torch.where(is_good_S, 1.0, -1.0)
    weight_S = torch.where(is_good_S, weights[0], weights[1])
    gain_S = answers_S - reference_S - baseline
    return weight_S * torch.sigmoid(-beta * sign_S * gain_S)


def kto_baseline(mismatched_S: Tensor, *, reference_S: Tensor) -> Tensor:
    """Return z: the mean of log r over answers to other prompts, not below 0, as a constant.

    It estimates the divergence from the reference (arXiv:2402.01306, section 4.1).
    """
    return (mismatched_S - reference_S).mean().clamp(min=0).detach()


def forward_kl(teacher_NV: Tensor, student_NV: Tensor) -> Tensor:
    """Return KL(teacher || student) = sum p_t (log p_t - log p_s): covers all that the teacher says."""
    return (teacher_NV.exp() * (teacher_NV - student_NV)).sum(-1)


def reverse_kl(teacher_NV: Tensor, student_NV: Tensor) -> Tensor:
    """Return KL(student || teacher) = sum p_s (log p_s - log p_t): seeks what the teacher says most."""
    return forward_kl(student_NV, teacher_NV)


def jsd(teacher_NV: Tensor, student_NV: Tensor, *, beta: float = 0.5) -> Tensor:
    """Return beta KL(teacher || m) + (1 - beta) KL(student || m), m = beta teacher + (1 - beta) student.

    It is the generalised Jensen-Shannon divergence (arXiv:2306.13649, equation 1). As there, beta 0
    stands for the forward divergence and 1 for the reverse one, which are its limits once scaled.
    """
    if beta == 0:
        return forward_kl(teacher_NV, student_NV)
    if beta == 1:
        return reverse_kl(teacher_NV, student_NV)
    share = torch.tensor(beta, dtype=student_NV.dtype, device=student_NV.device)
    mixture_NV = torch.logaddexp(teacher_NV + share.log(), student_NV + (-share).log1p())
    return beta * forward_kl(teacher_NV, mixture_NV) + (1 - beta) * forward_kl(
        student_NV, mixture_NV
    )


def with_tail(logprobs_NK: Tensor) -> Tensor:
    """Return K+1 log-probabilities: those of K tokens, and of all others together.

    A divergence over these K+1 is at most the one over the whole vocabulary, and equal to it for K = V
    (the tail is then next to nothing on both sides). So every divergence above has its top-k form.
    """
    together_N = logprobs_NK.logsumexp(-1)
    return torch.cat([logprobs_NK, log_rest(together_N)[..., None]], dim=-1)


def log_rest(logprobs: Tensor) -> Tensor:
    """Return log(1 - p), for p up to 1 - 1e-7: what is above counts as that, without a gradient."""
    return torch.log(-torch.expm1(logprobs.clamp(max=LARGEST_LOG_MASS)))


def grpo(
    logprobs_N: Tensor,
    advantages_N: Tensor,
    *,
    old_N: Tensor | None = None,
    clip: tuple[float, float] = (0.2, 0.2),
) -> Tensor:
    """Return -min(r A, clip(r, 1 - low, 1 + high) A), r = p / old p (arXiv:2402.03300, equation 3).

    A mean over all tokens of a step makes it what TRL calls `dapo`, its default (arXiv:2503.14476):
    every token counts alike, so that a long answer is not made cheap. There is no term of divergence,
    as in TRL's default (beta 0).

    Args:
        logprobs_N: of the sampled tokens.
        advantages_N: of the answer that each token belongs to; see `group_advantages`.
        old_N: log-probabilities under the weights that sampled; None where those are the present ones.
        clip: how far below and above 1 the ratio counts.
    """
    old_N = logprobs_N.detach() if old_N is None else old_N
    ratio_N = (logprobs_N - old_N).exp()
    clipped_N = ratio_N.clamp(1 - clip[0], 1 + clip[1])
    return -torch.minimum(ratio_N * advantages_N, clipped_N * advantages_N)


def group_advantages(rewards_PG: Tensor) -> Tensor:
    """Return (reward - mean) / (standard deviation + 1e-4) within each prompt's group."""
    mean_P1 = rewards_PG.mean(dim=-1, keepdim=True)
    deviation_P1 = rewards_PG.std(dim=-1, keepdim=True)
    return (rewards_PG - mean_P1) / (deviation_P1 + ADVANTAGE_FLOOR)


LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "sft": sft,
    "dft": dft,
    "dpo": dpo,
    "orpo": orpo,
    "simpo": simpo,
    "kto": kto,
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": jsd,
    "grpo": grpo,
}
