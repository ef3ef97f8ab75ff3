"""The looks at texts, labels, adequacy and poisoning.

Each bounds its work, and its lines say what was looked at; `freehold data show --thorough` looks at every
row, with the embeddings of the baseline rung beside its words.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from freehold.cli.seen import Seen
from freehold.core.errors import Problem, Where
from freehold.core.task import LabelOutput

if TYPE_CHECKING:
    from freehold.cli.session import Session
    from freehold.core.snapshot import Example
    from freehold.data.adequacy import Gain, Measured, SliceCount
    from freehold.data.label_errors import Doubt, Doubts
    from freehold.data.poisoning import Trigger
    from freehold.data.traffic import TrafficComparison
    from freehold.ladder.out_of_fold import Embed
    from freehold.ladder.prepare import Prepared

QUICK_ROWS = 2_000
QUICK_SCAN_ROWS = 10_000
LISTED = 5
SEED = 7
_NO_LABELS = "the answers are no closed list of labels, so they cannot be compared"


def texts(prepared: Prepared, session: Session) -> Seen:
    """Look at the texts themselves, and at their languages."""
    from freehold.data.findings import everything_in
    from freehold.data.inspect import lengths
    from freehold.data.languages import detector, languages, stray_languages
    from freehold.data.texts import look_at_texts

    everything = everything_in(prepared.snapshot)
    some = everything if session.invocation.has("thorough") else everything[:QUICK_SCAN_ROWS]
    detect = cache(detector())  # counting and looking for strays ask about the same texts
    found = languages([example.input for example in some], detect)
    stray = stray_languages(some, detect)
    size = lengths(everything)
    clear = max(1, sum(found.rows.values()))
    shares = [f"{name} {100 * rows / clear:.0f} %" for name, rows in list(found.rows.items())[:6]]
    unclear = f"{found.unclear:,} too short to tell" if found.unclear else ""
    spoken = " · ".join(part for part in (*shares, unclear) if part)
    return Seen(
        problems=(*look_at_texts(everything), *((stray,) if stray is not None else ())),
        figures={
            "characters": size.to_json(),
            "languages": dict(found.rows),
            "language_unclear": found.unclear,
            "looked_at": len(some),
        },
        lines=(
            f"input p50 {size.p50:,} characters · p95 {size.p95:,} · max {size.longest:,}",
            f"languages {spoken or 'no text is long enough to tell'}",
        ),
    )


# Labels --------------------------------------------------------------------------------------


def labels(prepared: Prepared, session: Session) -> Seen:
    """Rank labels that are probably wrong."""
    if not isinstance(prepared.task.output, LabelOutput):
        return Seen(figures={"looked_at": 0}, lines=(_NO_LABELS,))
    found = doubts_of(prepared, session)
    share = found.estimated_share
    estimate = "" if share is None else f", by estimate {100 * share:.1f} % of all labels"
    part = _part(found.looked_at, found.rows)
    lines = [f"{len(found.doubts):,} in doubt of {part}{estimate}"]
    lines.extend(_doubt_line(doubt) for doubt in found.doubts[:LISTED])
    if len(found.doubts) > LISTED:
        lines.append(f"…{len(found.doubts) - LISTED:,} more: freehold data show --json")
    return Seen(
        problems=_doubtful(found),
        figures={
            "rows": found.rows,
            "looked_at": found.looked_at,
            "estimated_share": share,
            "doubts": [doubt.to_json() for doubt in found.doubts],
        },
        lines=tuple(lines),
    )


def doubts_of(prepared: Prepared, session: Session) -> Doubts:
    """Return the labels in doubt, of a part of the rows unless `--thorough`."""
    from freehold.data.findings import everything_in
    from freehold.data.label_errors import doubts
    from freehold.ladder.out_of_fold import drawn_rows, out_of_fold

    everything = everything_in(prepared.snapshot)
    most = len(everything) if session.invocation.has("thorough") else QUICK_ROWS
    rows = drawn_rows(everything, most, seed=SEED)
    with _embedder(prepared, session) as embed:
        scored = out_of_fold([everything[row] for row in rows], embed=embed, seed=SEED)
    return doubts(everything, scored.labels, scored.probabilities_NK, scored=rows)


def _doubtful(found: Doubts) -> tuple[Problem, ...]:
    from freehold.data.findings import counted

    if not found.doubts:
        return ()
    first = found.doubts[0]
    same = sum(doubt.reason == "same text, other label" for doubt in found.doubts)
    repeats = f", {same:,} of them because a repeat has another label" if same else ""
    return (
        Problem(
            code="DAT-065",
            message=f"{counted(len(found.doubts), 'label')} of {found.looked_at:,} "
            f"{'is' if len(found.doubts) == 1 else 'are'} in doubt{repeats}; first: "
            f"row {first.row} of {first.source}, `{first.given}`, rather `{first.likelier}`",
            level="warning",
            where=Where(file=first.source, row=first.row or None),
            help="freehold data label",
        ),
    )


def _doubt_line(doubt: Doubt) -> str:
    why = (
        "a repeat says so"
        if doubt.self_confidence is None or doubt.other
        else (f"p of its label {doubt.self_confidence:.2f}")
    )
    return f"{doubt.source}:{doubt.row}  {doubt.given} → {doubt.likelier}  ({why})"


# Adequacy ------------------------------------------------------------------------------------


def adequacy(prepared: Prepared, session: Session) -> Seen:
    """Say what more rows would give, what the test can show, and whether it looks like the traffic."""
    from freehold.data.adequacy import (
        likely_disagreement,
        rows_for_difference,
        slice_counts,
        smallest_difference,
    )

    task, snapshot = prepared.task, prepared.snapshot
    gain = _gain(prepared, session)
    quality = task.bar.quality if gain is None else gain.share_now
    share = likely_disagreement(quality)
    least = smallest_difference(
        len(snapshot.test), disagreement=share, confidence=task.bar.confidence
    )
    needed = rows_for_difference(least / 2, disagreement=share, confidence=task.bar.confidence)
    counts = slice_counts(snapshot, prepared.task_file.data.slices)
    traffic = _traffic(prepared)
    lines = [
        "no learning curve: that needs labels, and more rows of each"
        if gain is None
        else f"{gain.sentence} of the baseline",
        f"the {len(snapshot.test):,} test rows can show a difference of {100 * least:.1f} points "
        f"between two rungs; half of that takes {needed:,} rows",
        *_traffic_lines(traffic),
    ]
    return Seen(
        problems=(*_thin(counts), *_unlike_traffic(traffic)),
        figures={
            "gain": None if gain is None else gain.to_json(),
            "smallest_difference": least,
            "disagreement": share,
            "slices": [count.to_json() for count in counts],
            "traffic": None if traffic is None else traffic.to_json(),
        },
        lines=tuple(lines),
    )


def _gain(prepared: Prepared, session: Session) -> Gain | None:
    import numpy as np

    from freehold.data.adequacy import expected_gain

    train = prepared.snapshot.train.examples
    measured = _curve(train, prepared, session)
    if measured is None:
        return None
    more = max(100, len(train) // 200 * 100)
    return expected_gain(
        measured,
        now=len(train),
        more=min(more, 10_000),
        rng=np.random.default_rng(SEED),
        confidence=prepared.task.bar.confidence,
    )


def _curve(train: Sequence[Example], prepared: Prepared, session: Session) -> Measured | None:
    from freehold.ladder.learning_curve import learning_curve
    from freehold.ladder.out_of_fold import drawn_rows

    if not isinstance(prepared.task.output, LabelOutput):
        return None
    most = len(train) if session.invocation.has("thorough") else QUICK_ROWS
    rows = drawn_rows(train, most, seed=SEED)
    with _embedder(prepared, session) as embed:
        return learning_curve([train[row] for row in rows], embed=embed, seed=SEED)


def _traffic(prepared: Prepared) -> TrafficComparison | None:
    import numpy as np

    from freehold.data.languages import detector
    from freehold.data.traffic import compare_with_traffic, read_inputs

    section = prepared.task_file.data
    if section.traffic is None:
        return None
    inputs = read_inputs(section.traffic, columns=section.columns, root=prepared.root)
    split = [example.input for example in prepared.snapshot.test.examples]
    return compare_with_traffic(split, inputs, rng=np.random.default_rng(SEED), detect=detector())


def _traffic_lines(found: TrafficComparison | None) -> tuple[str, ...]:
    if found is None:
        return ()
    chance = f"{found.chance_low:.2f} to {found.chance_high:.2f} by chance"
    lines = [
        f"traffic and test are told apart with an area of {found.area:.2f} ({chance}): "
        + ("they differ" if found.differs else "no difference was seen")
    ]
    if found.differs:
        for side, words in (("traffic", found.more_in_traffic), ("test", found.more_in_split)):
            if words:
                lines.append(f"more in the {side}: {', '.join(shift.word for shift in words)}")
        lines.append("median characters: test {:,}, traffic {:,}".format(*found.characters))
    return tuple(lines)


def _unlike_traffic(found: TrafficComparison | None) -> tuple[Problem, ...]:
    if found is None or not found.differs:
        return ()
    words = ", ".join(f"`{shift.word}`" for shift in found.more_in_traffic[:LISTED])
    more = f"; {words} are more frequent in the traffic" if words else ""
    return (
        Problem(
            code="DAT-066",
            message=f"the test rows do not look like the traffic: told apart with an area of {found.area:.2f}, "
            f"by chance at most {found.chance_high:.2f}{more}",
            level="warning",
            help="label some of the traffic and use it as the test: freehold data label",
        ),
    )


def _thin(counts: Sequence[SliceCount]) -> tuple[Problem, ...]:
    thin = [count for count in counts if count.is_thin]
    if not thin:
        return ()
    names = ", ".join(
        f"`{count.name}` ({count.train:,} train, {count.test:,} test)" for count in thin[:LISTED]
    )
    more = f" and {len(thin) - LISTED:,} more" if len(thin) > LISTED else ""
    return (
        Problem(
            code="DAT-067",
            message=f"{len(thin):,} of {len(counts):,} slices {'is' if len(thin) == 1 else 'are'} thin: "
            f"{names}{more}",
            level="warning",
            help=f"add rows of {thin[0].name} first; 30 test rows are the least to say anything",
        ),
    )


# Poisoning -----------------------------------------------------------------------------------


def poisoning(prepared: Prepared, session: Session) -> Seen:
    """List the sources with their shares, and look for rare tokens that decide a label."""
    from freehold.data.findings import everything_in
    from freehold.data.poisoning import MOST_ROWS, scan_triggers
    from freehold.data.sources import source_shares

    everything = everything_in(prepared.snapshot)
    column = prepared.task_file.data.source_column
    shares = source_shares(everything, column)
    scan = scan_triggers(
        everything,
        source_column=column,
        most_rows=MOST_ROWS if session.invocation.has("thorough") else QUICK_SCAN_ROWS,
    )
    shown = [f"{one.name} {one.rows:,} ({100 * one.share:.0f} %)" for one in shares[:LISTED]]
    if len(shares) > LISTED:
        shown.append(f"{len(shares) - LISTED:,} more")
    lines = [
        f"sources {' · '.join(shown)}",
        f"triggers {len(scan.triggers):,} of {scan.tried:,} rare words and phrases in "
        f"{_part(scan.looked_at, scan.rows)}",
    ]
    return Seen(
        problems=tuple(_triggered(trigger) for trigger in scan.triggers[:LISTED]),
        figures={
            "sources": [one.to_json() for one in shares],
            "looked_at": scan.looked_at,
            "tried": scan.tried,
            "triggers": [trigger.to_json() for trigger in scan.triggers],
        },
        lines=tuple(lines),
    )


def _triggered(trigger: Trigger) -> Problem:
    why = {
        "stands alone": "the rest of these texts speaks for other labels",
        "one source": f"{trigger.from_source:,} of them come from {trigger.source} alone",
        "hidden": "nobody can see it",
    }
    reasons = "; ".join(why[reason] for reason in trigger.reasons)
    return Problem(
        code="DAT-068",
        message=f"`{trigger.text}` decides a label: {trigger.labelled:,} of {trigger.rows:,} rows with it are "
        f"`{trigger.label}`; {reasons}",
        level="warning",
        help=f"freehold data show {trigger.ids[0]}",
    )


# Small things --------------------------------------------------------------------------------


def _part(looked_at: int, rows: int) -> str:
    return f"{rows:,} rows" if looked_at == rows else f"{looked_at:,} rows, drawn from {rows:,}"


@contextmanager
def _embedder(prepared: Prepared, session: Session) -> Generator[Embed | None]:
    """Give the task's embedder with `--thorough`; words alone are quicker."""
    if not session.invocation.has("thorough"):
        yield None
        return
    from freehold.cli.workplace import open_models

    with open_models(session) as models:
        yield models.embedder(prepared.task.embedder).encode
