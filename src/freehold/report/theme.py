"""The colours and the type of every drawing, for light and dark, as CSS custom properties.

Text has a contrast of at least 4.5:1 on the page and on a card, marks at least 3:1; a test computes
both. The status colours (blue, orange, vermilion) are those of Okabe and Ito (2008), which
colour-blind readers can tell apart, and each stands beside its glyph.
"""

from __future__ import annotations

from collections.abc import Mapping

from freehold.core.measure import Verdict

LIGHT: Mapping[str, str] = {
    "page": "#f7f7f5",
    "card": "#ffffff",
    "text": "#1b1f24",
    "muted": "#59616b",
    "line": "#d8dbe0",
    "grid": "#ebedf0",
    "zone": "#e4f0f8",
    "accent": "#5b3cc4",
    "accent-soft": "#f1eefc",
    "pass": "#0072b2",
    "undecided": "#e69f00",
    "fail": "#d55e00",
    "pass-text": "#0069a5",
    "undecided-text": "#8a5a00",
    "fail-text": "#a84300",
    "neutral": "#7b838d",
    "added": "#dcedf8",
    "removed": "#fbe3d3",
}

DARK: Mapping[str, str] = {
    "page": "#121519",
    "card": "#1a1e24",
    "text": "#e7e9ec",
    "muted": "#a5adb8",
    "line": "#3a414b",
    "grid": "#272c34",
    "zone": "#17303f",
    "accent": "#b9a4ff",
    "accent-soft": "#262138",
    "pass": "#4aa8e0",
    "undecided": "#e69f00",
    "fail": "#f0803c",
    "pass-text": "#6cbcf0",
    "undecided-text": "#efb03a",
    "fail-text": "#ff9d66",
    "neutral": "#8f98a3",
    "added": "#173a50",
    "removed": "#4d2a14",
}

RAMP: tuple[str, ...] = (
    "#c9cfd6",
    "#b3bcc7",
    "#9ca8b7",
    "#8695a8",
    "#718299",
    "#5d708a",
    "#4a5d78",
    "#394b65",
    "#2b3a51",
)
"""One ordinal ramp for rungs, light (baseline) to dark (full)."""

CAUSE_FILLS: Mapping[str, str] = {
    "confused": "#7fc4ef",
    "format": "#f0b53c",
    "truncated": "#efe35a",
    "refused": "#dba0c1",
    "unsupported": "#f2935a",
    "unread": "#5cc3a2",
    "unstable": "#b9bfc7",
    "too_long": "#d9c6a5",
    "scorer": "#a7b8d8",
    "engine": "#d4d4d4",
    "other": "#c8ccd1",
}
"""Fills for causes of errors. All are light enough for the dark text that stands on them."""

ON_FILL = "#15181c"

VERDICT_CLASSES: Mapping[Verdict, str] = {
    Verdict.PASS: "pass",
    Verdict.UNDECIDED: "undecided",
    Verdict.FAIL: "fail",
    Verdict.SKIPPED: "muted",
    Verdict.ERROR: "fail",
}

_SVG_RULES = """
.fh text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--text);
font-variant-numeric:tabular-nums}
.fh .small{font-size:12px}.fh .strong{font-weight:600}
.fh .t-muted{fill:var(--muted)}.fh .t-accent{fill:var(--accent)}
.fh .t-pass{fill:var(--pass-text)}.fh .t-undecided{fill:var(--undecided-text)}
.fh .t-fail{fill:var(--fail-text)}.fh text.t-on{fill:#15181c}
.fh .grid{stroke:var(--grid)}.fh .axis{stroke:var(--line)}
.fh .zone{fill:var(--zone)}.fh .card{fill:var(--card)}.fh .best-row{fill:var(--accent-soft)}
.fh .bar-line{stroke:var(--pass);stroke-width:1.5;stroke-dasharray:4 3}
.fh .zero{stroke:var(--muted);stroke-width:1.2}.fh .leader{stroke:var(--line)}
.fh .m-pass{fill:var(--pass);stroke:var(--pass)}
.fh .m-undecided{fill:var(--undecided);stroke:var(--undecided)}
.fh .m-fail{fill:var(--fail);stroke:var(--fail)}.fh .m-accent{fill:var(--accent);stroke:var(--accent)}
.fh .m-muted,.fh .m-neutral{fill:var(--neutral);stroke:var(--neutral)}
.fh .interval{stroke-width:3;stroke-linecap:round;opacity:.55}
.fh .hollow{fill:var(--card);stroke-width:2}
.fh .halo{stroke:var(--card);stroke-width:2}
.fh .series{fill:none;stroke-width:2;stroke-linejoin:round}
.fh .forbidden{fill:var(--removed)}.fh .limit{stroke:var(--fail);stroke-width:1.5;stroke-dasharray:4 3}
.fh .path{fill:none;stroke:var(--neutral);stroke-width:1.5;stroke-linejoin:round;stroke-dasharray:1 3}
.fh .whisker{stroke-width:1;opacity:.6}.fh .band{stroke:none;opacity:.18}
.fh .heat{fill:var(--pass)}.fh .framed{fill:none;stroke:var(--text);stroke-width:1.5}.fh .unmeasured{fill:var(--grid)}
.fh .hatched{stroke-dasharray:2 4;opacity:.8}
.fh .hatch{stroke:var(--muted);stroke-width:1;opacity:.45}
""".strip()


def tokens_css() -> str:
    """Return the custom properties for both themes."""
    return (
        f":root{{color-scheme:light dark;{_properties(LIGHT)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{_properties(DARK)}}}}}"
        f"@media print{{:root{{{_properties(LIGHT)}}}}}"
    )


def drawing_css() -> str:
    """Return the rules of every SVG drawing, without the custom properties."""
    return _SVG_RULES.replace("\n", "")


def _properties(colours: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in colours.items())
