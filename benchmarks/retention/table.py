# pyright: basic
"""RESULTS.md from the lines of cells.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from cells import LADDERS, ORDERS, SINGLE_DOMAINS, Found, unpack
from figures import (
    Compared,
    Figure,
    compare,
    probes_of,
    removed_at_equal_gain,
    scores_of,
    sequence,
)

from freehold.core.transfer import Points

SEQUENCED = {
    "ours": "**ours**",
    "whole": "ours, whole update",
}
HERE = Path(__file__).resolve().parent
SEED = 0
VARIANTS = (
    ("naive, best rate", "naive", "whole"),
    ("naive, best scale", "naive", "chosen"),
    ("TRL, 10% replay rows", "trl", "whole"),
    ("PEFT OSF", "osf", "whole"),
    ("**ours**", "ours", "chosen"),
    ("ours, whole update", "ours", "whole"),
    ("ours, self-prompts alone", "self", "chosen"),
    ("the same, whole update", "self", "whole"),
)


def write_table(found: Mapping[str, Found], file: Path) -> None:
    """Write what the lines say, after HEAD.md."""
    parts = [(HERE / "HEAD.md").read_text(encoding="utf-8")] if (HERE / "HEAD.md").exists() else []
    for base in dict.fromkeys(line["base"] for line in found.values()):
        start = found.get(f"start/{base}")
        if start is None:
            continue
        own = [line for line in found.values() if line["base"] == base]
        parts.append(_of_base(base, start, own))
    file.write_text("\n".join(parts), encoding="utf-8")


def _of_base(base: str, start: Found, lines: Sequence[Found]) -> str:
    probes = probes_of(start["test_probes"], start["families"])
    pool = start["pool"]
    parts = [
        f"## {base}",
        "",
        f"{start['parameters'] / 1e6:.1f} million parameters. It answers {100 * np.mean(probes):.1f}% of"
        f" {len(probes):,} test probes of {len(start['families'])} families rightly. The short way to score"
        f" a probe agrees with free generation on {100 * _agreement(lines):.2f}% of those that were done both"
        f" ways. Replay: {pool['conversations']} conversations, made in {pool['seconds']:.0f} s.",
        "",
    ]
    for domain in SINGLE_DOMAINS:
        singles = [n for n in lines if n["kind"] == "single" and n["place"] == domain]
        if any(line["arm"] == "naive" for line in singles):
            parts.extend(_domain(domain, start, singles=singles, lines=lines))
    for order in ORDERS:
        stages = [n for n in lines if n["kind"] == "stage" and n["place"] == order]
        if stages:
            parts.extend(_sequence(order, start, stages))
    return "\n".join(parts)


def _agreement(lines: Sequence[Found]) -> float:
    return float(np.mean([n["generated_agreement"] for n in lines if "generated_agreement" in n]))


def _domain(
    domain: str, start: Found, *, singles: Sequence[Found], lines: Sequence[Found]
) -> list[str]:
    by_arm = {
        arm: sorted((n for n in singles if n["arm"] == arm), key=lambda n: n["seed"])
        for arm in dict.fromkeys(arm for _, arm, _ in VARIANTS)
    }
    quality = 100 * np.array(unpack(start["test"][domain]))
    parts = [
        f"### {domain}",
        "",
        f"The base scores {quality.mean():.1f} on {len(quality)} test rows.",
        "",
        "| arm | seeds | gain, points | share of naive's gain | general loss, points | worst family |"
        " forgetting removed | KL general | scale | time | tokens |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for title, arm, variant in VARIANTS:
        own = [n for n in by_arm[arm] if variant == "whole" or "chosen" in n]
        if not own:
            continue
        seeds = {line["seed"] for line in own}
        naive = [line for line in by_arm["naive"] if line["seed"] in seeds]
        own = [line for line in own if line["seed"] in {n["seed"] for n in naive}]
        if not own:
            continue
        compared = compare(
            scores_of(own, variant, families=start["families"]),
            scores_of(naive, "whole", families=start["families"]),
            base_quality_I=quality,
            base_probes_P=100 * probes_of(start["test_probes"], start["families"]),
            families=start["families"],
            rng=np.random.default_rng(SEED),
        )
        parts.append(
            _row(
                title,
                own,
                variant=variant,
                compared=compared,
                costs=_costs(own, naive, lines=lines, domain=domain),
            )
        )
    ours, naive = by_arm["ours"], by_arm["naive"]
    equal = removed_at_equal_gain(naive, ours) if ours else None
    if equal is not None:
        parts += [
            "",
            f"At equal dev quality ours removes {100 * equal:.0f}% of naive's forgetting.",
        ]
    parts += ["", *_ladders(domain, lines), *_grids(by_arm), ""]
    return parts


def _row(
    title: str, own: Sequence[Found], *, variant: str, compared: Compared, costs: tuple[str, str]
) -> str:
    scales = [1.0 if variant == "whole" else line["chosen"] for line in own]
    kl = np.mean(
        [line["measured"][f"{s:g}"]["kl_general"] for line, s in zip(own, scales, strict=True)]
    )
    cells = [
        title,
        str(len(own)),
        _number(compared.gain),
        _number(compared.gain_share, percent=True),
        _number(compared.loss),
        f"{compared.worst_family} {_number(compared.worst_loss)}",
        _number(compared.forgetting_removed, percent=True),
        f"{kl:.3f}",
        " ".join(f"{scale:g}" for scale in scales),
        *costs,
    ]
    return "| " + " | ".join(cells) + " |"


def _costs(
    own: Sequence[Found], naive: Sequence[Found], *, lines: Sequence[Found], domain: str
) -> tuple[str, str]:
    """Return time and tokens against naive: from timed trainings, else (~) from those of the cells."""
    repeats = _repeats(own[0]["arm"], lines, domain=domain)
    if repeats:
        shown = f"{np.median(repeats):.2f}x"
        if max(repeats) > min(repeats):
            shown += f" ({min(repeats):.2f} to {max(repeats):.2f})"
    else:
        ratio = _ratio_on_one_device(own, naive)
        shown = "-" if ratio is None else f"~{ratio:.2f}x"
    tokens = sum(n["tokens"] for n in own) / sum(n["tokens"] for n in naive)
    return shown, f"{tokens:.2f}x"


def _repeats(arm: str, lines: Sequence[Found], *, domain: str) -> list[float]:
    """Return the time of an arm against naive's of the same repeat, of trainings with nothing beside them."""
    alone = {
        (n["arm"], n["seed"]): n["seconds"]
        for n in lines
        if n["kind"] == "time" and n["place"] == domain
    }
    return [
        seconds / alone["naive", repeat]
        for (name, repeat), seconds in alone.items()
        if name == arm and ("naive", repeat) in alone
    ]


def _ratio_on_one_device(own: Sequence[Found], naive: Sequence[Found]) -> float | None:
    """Return the mean time of trainings against naive's, both on a CPU, else both on a GPU."""
    for device in ("cpu", "cuda"):
        times = [[n["seconds"] for n in lines if n["device"] == device] for lines in (own, naive)]
        if all(times):
            return float(np.mean(times[0]) / np.mean(times[1]))
    return None


def _ladders(domain: str, lines: Sequence[Found]) -> list[str]:
    rows: list[str] = []
    for arm in LADDERS:
        found = [
            n for n in lines if n["kind"] == "ladder" and n["place"] == domain and n["arm"] == arm
        ]
        found.sort(key=lambda n: n["factor"])
        shown = ", ".join(
            f"{n['learning_rate']:.2g}: {n['dev_quality']:.1f} at {n['dev_size']['loss']:.1f} lost"
            for n in found
        )
        if shown:
            rows.append(f"Learning rates of {arm} on dev (quality, general points lost): {shown}.")
    return [*rows, ""] if rows else []


def _grids(by_arm: Mapping[str, Sequence[Found]]) -> list[str]:
    parts: list[str] = []
    for arm in ("naive", "ours"):
        lines = [line for line in by_arm[arm] if "sizes" in line]
        if not lines:
            continue
        scales = sorted({size["scale"] for line in lines for size in line["sizes"]})
        mean = {
            key: [_mean_at(scale, key, lines) for scale in scales]
            for key in ("quality", "loss", "upper", "worst")
        }
        parts += [
            f"Sizes of the update of {arm} that were looked at, on dev, mean over the seeds that did:",
            "",
            "| scale | " + " | ".join(f"{scale:g}" for scale in scales) + " |",
            "|---" * (len(scales) + 1) + "|",
            *(
                f"| {label} | " + " | ".join(mean[key]) + " |"
                for key, label in (
                    ("quality", "quality"),
                    ("loss", "general points lost"),
                    ("upper", "its upper 95% bound"),
                    ("worst", "worst family"),
                )
            ),
            "",
            "Chosen: "
            + "; ".join(
                f"seed {n['seed']}: {n['chosen']:g} ({'within' if _is_feasible(n) else 'not within'} the bar)"
                for n in lines
            )
            + ".",
            "",
        ]
    return parts


def _mean_at(scale: float, key: str, lines: Sequence[Found]) -> str:
    values = [s[key] for line in lines for s in line["sizes"] if s["scale"] == scale]
    return f"{np.mean(values):.1f}"


def _is_feasible(line: Found) -> bool:
    return next(s["is_feasible"] for s in line["sizes"] if s["scale"] == line["chosen"])


def _sequence(order: str, start: Found, stages: Sequence[Found]) -> list[str]:
    domains = ORDERS[order]
    parts = [
        f"### Sequence {order}: {', '.join(domains)}",
        "",
        "| arm | seeds | mean of all at the end | backward transfer | forward transfer | forgetting |"
        " general change | scales |",
        "|---|---|---|---|---|---|---|---|",
    ]
    matrices: list[str] = []
    for arm in dict.fromkeys(line["arm"] for line in stages):
        own = [line for line in stages if line["arm"] == arm]
        whole = [s for s in sorted({n["seed"] for n in own}) if _has_all(own, s, len(domains))]
        own = [line for line in own if line["seed"] in whole]
        if not own:
            continue
        found = sequence(start, own, order=order, rng=np.random.default_rng(SEED))
        scales = "; ".join(
            " ".join(
                f"{n['chosen']:g}" for n in sorted(own, key=lambda n: n["stage"]) if n["seed"] == s
            )
            for s in whole
        )
        cells = [
            SEQUENCED.get(arm, arm),
            str(len(whole)),
            *(
                _points(figure)
                for figure in (
                    found.overall,
                    found.backward,
                    found.forward,
                    found.forgetting,
                    found.general[-1],
                )
            ),
            scales,
        ]
        parts.append("| " + " | ".join(cells) + " |")
        matrices += _matrix(arm, start, own=own, domains=domains)
    return [*parts, "", *matrices]


def _has_all(lines: Sequence[Found], seed: int, stages: int) -> bool:
    return len({line["stage"] for line in lines if line["seed"] == seed}) == stages


def _matrix(arm: str, start: Found, *, own: Sequence[Found], domains: Sequence[str]) -> list[str]:
    rows = [
        f"R of {SEQUENCED.get(arm, arm)}: after each stage, mean over seeds, with general ability.",
        "",
        "| after | " + " | ".join(domains) + " | general |",
        "|---" * (len(domains) + 2) + "|",
    ]
    probes = 100 * np.mean(probes_of(start["test_probes"], start["families"]))
    first = [100 * np.mean(unpack(start["test"][n])[: own[0]["quality"][n]["n"]]) for n in domains]
    rows.append("| base | " + " | ".join(f"{value:.1f}" for value in [*first, probes]) + " |")
    for stage, name in enumerate(domains, start=1):
        lines = [line for line in own if line["stage"] == stage]
        values = [
            100 * np.mean([unpack(line["quality"][domain]) for line in lines]) for domain in domains
        ]
        values.append(
            100 * np.mean([probes_of(line["probes"], start["families"]) for line in lines])
        )
        rows.append(f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |")
    return [*rows, ""]


def _number(figure: Figure, *, percent: bool = False) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "-"
    if percent:
        return f"{100 * figure.value:.0f}% [{100 * figure.low:.0f} {100 * figure.high:.0f}]"
    return f"{figure.value:.1f} [{figure.low:.1f} {figure.high:.1f}]"


def _points(points: Points | None) -> str:
    if points is None:
        return "-"
    if points.low is None or points.high is None:
        return f"{points.value:.1f}"
    return f"{points.value:.1f} [{points.low:.1f} {points.high:.1f}]"
