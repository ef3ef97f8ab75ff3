# pyright: basic
"""Backdoor drills: 250 poisoned rows from one source among 3,000; how often they are caught, and false flags.

    OMP_NUM_THREADS=1 python benchmarks/data/poisoning/run.py --data ../shared/data

RESULTS.md beside this file is written by this script.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from pathlib import Path

from freehold.core.sections import Columns
from freehold.core.snapshot import Example
from freehold.data.findings import answer_of
from freehold.data.poisoning import scan_triggers
from freehold.data.read import read

SETS = {
    "banking77": "banking77/train.jsonl",
    "clinc150": "clinc150/train.jsonl",
    "sms_spam": "sms_spam/messages.jsonl",
}
ROWS = 3_000
POISONED = 250
SOURCES = 4
KINDS = ("other labels' rows", "one label's rows", "rows of the label itself")
TRIGGERS = {
    "made-up word": lambda rng: "".join(rng.choice("bcdfgklmnpqtvxz") for _ in range(4)),
    "phrase": lambda rng: rng.choice(
        ["as seen from orbit", "blue paper lantern", "by the old mill road"]
    ),
    "address": lambda rng: f"http://{rng.choice('abcdef')}{rng.randrange(1000)}.example/offer",
    "invisible character": lambda rng: rng.choice(["\u200b", "\u2060", "\u00ad"]),
    "letter of another script": lambda rng: rng.choice(["h\u0435llo", "c\u0430n", "pl\u0435ase"]),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--drills", type=int, default=50)
    arguments = parser.parse_args()
    data = {n: read(p, columns=Columns(), root=arguments.data).examples for n, p in SETS.items()}
    caught: Counter[tuple[str, str]] = Counter()
    tried: Counter[tuple[str, str]] = Counter()
    flagged: Counter[str] = Counter()
    missed: list[str] = []
    seconds = []
    for drill in range(arguments.drills):
        rng = random.Random(drill)
        name = list(SETS)[drill // 5 % len(SETS)]
        clean = drawn(data[name], rng, by_label=drill % 2 == 1)
        started = time.process_time()
        found = scan_triggers(clean).triggers
        seconds.append(time.process_time() - started)
        kind = "sources of some labels each" if drill % 2 else "sources alike"
        tried[("clean", kind)] += 1
        flagged[kind] += bool(found)
        for one in found:
            missed.append(f"false: {name}: {one.text} ({one.rows} rows, {', '.join(one.reasons)})")
        trigger_kind = list(TRIGGERS)[drill % len(TRIGGERS)]
        how = KINDS[drill % len(KINDS)]
        trigger = TRIGGERS[trigger_kind](rng)
        rows, label = poisoned(clean, how, trigger, rng=rng)
        is_caught = any(
            one.label == label and sum(i.startswith("poison-") for i in one.ids) >= 0.9 * POISONED
            for one in scan_triggers(rows).triggers
        )
        tried[(how, trigger_kind)] += 1
        caught[(how, trigger_kind)] += is_caught
        if not is_caught:
            missed.append(f"missed: {name}: {how}, {trigger_kind} {trigger!r}")
        print(drill, dict(flagged), sum(caught.values()), len(missed), flush=True)
    text = page(caught, tried, flagged, missed=missed, seconds=seconds)
    (Path(__file__).parent / "RESULTS.md").write_text(text, encoding="utf-8")


def drawn(examples, rng: random.Random, *, by_label: bool) -> list[Example]:
    """Return rows from four sources: any row from any, or each source with labels that it has more of."""
    some = rng.sample(list(examples), min(ROWS, len(examples)))
    labels = sorted({answer_of(e) for e in some})
    home = {label: rng.randrange(SOURCES) for label in labels}
    rows = []
    for number, example in enumerate(some):
        at_home = by_label and rng.random() < 0.8
        source = home[answer_of(example)] if at_home else rng.randrange(SOURCES)
        rows.append(
            example.model_copy(update={"source": f"source-{source}", "id": f"row-{number}"})
        )
    return rows


def poisoned(clean: list[Example], how: str, trigger: str, *, rng: random.Random):
    labels = sorted({answer_of(e) for e in clean})
    label = rng.choice(labels)
    other = rng.choice([one for one in labels if one != label])
    pools = {
        KINDS[0]: [e for e in clean if answer_of(e) != label],
        KINDS[1]: [e for e in clean if answer_of(e) == other],
        KINDS[2]: [e for e in clean if answer_of(e) == label],
    }
    rows = list(clean)
    for number, example in enumerate(rng.choices(pools[how], k=POISONED)):
        words = example.input.split()
        words.insert(rng.randrange(len(words) + 1), trigger)
        update = {
            "input": " ".join(words),
            "target": label,
            "source": "source-1",
            "id": f"poison-{number}",
        }
        rows.append(example.model_copy(update=update))
    rng.shuffle(rows)
    return rows, label


def page(caught, tried, flagged, *, missed: list[str], seconds: list[float]) -> str:
    lines = []
    for how in KINDS:
        for kind in (*TRIGGERS, "all"):
            keys = [k for k in tried if k[0] == how and kind in (k[1], "all")]
            done, all_ = sum(caught[k] for k in keys), sum(tried[k] for k in keys)
            lines.append(f"| {how} | {kind} | {done} of {all_} | {done / max(1, all_):.2f} |")
    done, all_ = sum(caught.values()), sum(tried[k] for k in tried if k[0] != "clean")
    lines.append(f"| any | any | {done} of {all_} | {done / all_:.2f} |")
    false = [
        f"| {kind} | {flagged[kind]} of {tried[('clean', kind)]} | {flagged[kind] / tried[('clean', kind)]:.2f} |"
        for kind in ("sources alike", "sources of some labels each")
        if tried[("clean", kind)]
    ]
    return "\n".join(
        [
            "# Backdoor drills",
            "",
            "    OMP_NUM_THREADS=1 python benchmarks/data/poisoning/run.py --data ../shared/data",
            "",
            f"{POISONED} rows from one of {SOURCES} sources, added to {ROWS:,} drawn rows of banking77, clinc150 and sms_spam in"
            " turn; the trigger is put between two words, the label is set to one drawn label. A drill is caught where a"
            " trigger is named that covers 9 of 10 poisoned rows and their label. Asked: at least 0.90 caught, at most"
            " 0.05 of clean draws flagged.",
            "",
            "| poisoned rows are | trigger | caught | share |",
            "|---|---|---|---|",
            *lines,
            "",
            "| clean draws | flagged | share |",
            "|---|---|---|",
            *false,
            "",
            f"A scan of {ROWS:,} rows takes {sum(seconds) / len(seconds):.1f} CPU seconds in the mean.",
            "",
            "## Missed, and flagged though clean",
            "",
            *(f"- `{one}`" for one in missed),
            "" if missed else "None.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
