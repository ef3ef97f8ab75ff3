"""The skeleton and the style of a page that stands on its own: no request, any theme, one script or none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from freehold.report.markup import Markup, element, join
from freehold.report.theme import drawing_css, tokens_css

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--page);color:var(--text);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
main,header.top{max-width:960px;margin:0 auto;padding:0 24px}
header.top{padding-top:40px;padding-bottom:4px}
.eyebrow{color:var(--muted);font-size:14px;margin:0 0 4px}
h1{font-size:30px;line-height:1.2;letter-spacing:-.01em;margin:0 0 6px}
h2{font-size:20px;line-height:1.3;margin:0 0 6px;letter-spacing:-.005em}
h3{font-size:16px;margin:20px 0 6px}
p{margin:0 0 10px}.lead{color:var(--muted);margin:0 0 14px;max-width:72ch}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:3px}
a:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:22px 24px;margin:18px 0}
.answer{border-left:5px solid var(--accent)}
.answer.open{border-left-color:var(--neutral)}
.answer .headline{font-size:21px;line-height:1.35;font-weight:600;margin:0 0 10px}
.answer .star{color:var(--accent)}
.why{margin:0;display:grid;grid-template-columns:max-content 1fr;gap:4px 18px}
.why dt{color:var(--muted)}.why dd{margin:0}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:14px;
margin:16px 0 0;padding:14px 0 0;border-top:1px solid var(--line)}
.fact .k{display:block;color:var(--muted);font-size:13px}
.fact .v{display:block;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
.fact .n{display:block;color:var(--muted);font-size:13px;font-variant-numeric:tabular-nums}
nav.toc{font-size:14px;margin:18px 0;color:var(--muted);display:flex;flex-wrap:wrap;gap:4px 16px}
figure{margin:0}figure svg{display:block;width:100%;height:auto}
.narrow{display:none}
figcaption,.note{color:var(--muted);font-size:14px;margin:8px 0 0}
.scroll{overflow-x:auto;margin:10px -4px 0;padding:0 4px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums;
overflow-wrap:normal}
th,td{padding:7px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid)}
th{color:var(--muted);font-weight:500;white-space:nowrap;border-bottom-color:var(--line)}
tbody tr:last-child td,tbody tr:last-child th{border-bottom:0}
tbody th{color:var(--text);font-weight:400;border-bottom-color:var(--grid)}
td.r,th.r{text-align:right;white-space:nowrap}td.nw{white-space:nowrap}
tr.best{background:var(--accent-soft)}tr.best th,tr.best td{font-weight:600}
.t-pass{color:var(--pass-text)}.t-undecided{color:var(--undecided-text)}
.t-fail{color:var(--fail-text)}.t-muted{color:var(--muted)}.t-accent{color:var(--accent)}
code,pre,.raw{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{margin:8px 0 0;padding:12px 14px;background:var(--page);border:1px solid var(--line);
border-radius:8px;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;
max-height:480px;overflow:auto}
code.copy{display:block;padding:10px 14px;background:var(--page);border:1px solid var(--line);
border-radius:8px;user-select:all;-webkit-user-select:all}
bdi{unicode-bidi:isolate}
details{border-top:1px solid var(--grid)}details:last-of-type{border-bottom:1px solid var(--grid)}
summary{cursor:pointer;padding:9px 2px}summary::marker{color:var(--muted)}
details>.inside{padding:2px 2px 16px 18px}
.group>summary{font-size:16px}.group>.inside>details>summary{font-size:15px}
.chip{display:inline-block;min-width:88px;font-weight:600;margin-right:8px}
.preview{color:var(--muted);font-size:14px}
dl.plain{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0;font-size:14px}
dl.plain dt{color:var(--muted)}dl.plain dd{margin:0;font-variant-numeric:tabular-nums}
.what-if .sliders{display:grid;grid-template-columns:repeat(2,1fr);gap:14px 28px;margin:0 0 16px}
.what-if .sliders>div{display:grid;grid-template-columns:1fr max-content;gap:2px 10px}
.what-if label{color:var(--muted);font-size:14px}
.what-if output{font-weight:600;font-size:14px;font-variant-numeric:tabular-nums}
.what-if input{grid-column:1/-1;width:100%;margin:2px 0;accent-color:var(--accent);height:24px}
.what-if input:focus-visible,button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.what-if .said{font-size:17px;font-weight:600;margin:0 0 4px}
.what-if table{margin:0 0 8px}
.what-if button{font:inherit;font-size:14px;margin:12px 0 0;padding:7px 14px;color:var(--text);
background:var(--card);border:1px solid var(--line);border-radius:8px;cursor:pointer}
ins{background:var(--added);text-decoration:none;border-radius:3px;padding:0 2px}
del{background:var(--removed);border-radius:3px;padding:0 2px}
footer{max-width:960px;margin:24px auto 48px;padding:0 24px;color:var(--muted);font-size:14px}
@media (max-width:640px){
main,header.top,footer{padding-left:14px;padding-right:14px}header.top{padding-top:24px}
.card{padding:16px 14px;border-radius:10px}h1{font-size:25px}.answer .headline{font-size:18px}
.wide{display:none}.narrow{display:block}
.what-if .sliders{grid-template-columns:1fr}
.why,dl.plain{grid-template-columns:1fr;gap:0}.why dd,dl.plain dd{margin:0 0 8px}
details>.inside{padding-left:2px}.facts{grid-template-columns:repeat(2,1fr)}}
@media print{body{background:#fff;font-size:11pt}.card{border:0;padding:0;margin:14pt 0;
break-inside:auto}.answer{padding-left:10pt;border-left:3pt solid var(--accent)}
figure,tr,details{break-inside:avoid}nav.toc{display:none}pre{max-height:none}
h2{break-after:avoid}main,header.top,footer{max-width:none;padding:0}
.wide{display:block}.narrow{display:none}a{color:inherit;text-decoration:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
""".strip()


class Section(NamedTuple):
    """One section of a page: its anchor, its heading, a sentence on how to read it, its content."""

    name: str
    heading: str
    lead: str
    content: Markup


def page(
    title: str,
    *,
    top: Markup,
    sections: Sequence[Section],
    foot: Markup,
    refresh_seconds: int | None = None,
    script: str = "",
) -> str:
    """Return a whole HTML document that loads nothing, and runs nothing but `script`.

    With `refresh_seconds` the browser reads the same file again after that time. The policy names the
    digest of `script`, so that no other script runs.
    """
    policy = POLICY
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = f"{POLICY}; script-src 'sha256-{digest}'"
    again = (
        element("meta", {"http-equiv": "refresh", "content": str(refresh_seconds)})
        if refresh_seconds
        else Markup()
    )
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width,initial-scale=1"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        again,
        element("title", {}, title),
        Markup(f"<style>{base_css()}</style>"),
    )
    body = element(
        "body",
        {},
        top,
        element("main", {}, *(_section(section) for section in sections)),
        foot,
        Markup(f"<script>{script}</script>") if script else Markup(),
    )
    return "<!doctype html>\n" + element("html", {"lang": "en"}, head, body) + "\n"


def base_css() -> str:
    """Return the style of every page: tokens for both themes, drawings, and the rules of the skeleton."""
    return tokens_css() + drawing_css() + _RULES.replace("\n", "")


def contents(sections: Sequence[Section]) -> Markup:
    """Return links to the sections that have a heading."""
    links = [
        element("a", {"href": f"#{section.name}"}, section.heading)
        for section in sections
        if section.heading
    ]
    return element("nav", {"class": "toc", "aria-label": "Sections"}, *links)


def figure(wide: Markup, narrow: Markup, *, caption: str = "") -> Markup:
    """Return a drawing in two widths, of which the style shows the one that fits."""
    parts: list[str] = [
        element("div", {"class": "wide"}, wide),
        element("div", {"class": "narrow"}, narrow),
    ]
    if caption:
        parts.append(element("figcaption", {}, caption))
    return element("figure", {}, *parts)


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    best: int | None = None,
    name: str,
) -> Markup:
    """Return a table that scrolls by itself where it is too wide.

    `right` holds the columns aligned to the right, `best` the row that stands out. In a row with
    fewer cells than headings the second cell spans the missing ones.
    """
    head = [_cell("th", text, index in right, scope="col") for index, text in enumerate(headings)]
    body: list[Markup] = []
    for number, row in enumerate(rows):
        missing = len(headings) - len(row)
        cells: list[Markup] = []
        for index, text in enumerate(row):
            if index == 0:
                cells.append(element("th", {"scope": "row"}, text))
            elif index == 1 and missing:
                cells.append(element("td", {"colspan": str(missing + 1)}, text))
            else:
                shifted = index if index == 1 else index + missing
                cells.append(_cell("td", text, shifted in right))
        body.append(element("tr", {"class": "best" if number == best else None}, *cells))
    inner = element(
        "table",
        {"data-testid": name},
        element("thead", {}, element("tr", {}, *head)),
        element("tbody", {}, *body),
    )
    return element("div", {"class": "scroll", "tabindex": "0"}, inner)


def pairs(rows: Sequence[tuple[str, str]], *, kind: str = "plain") -> Markup:
    """Return names with their values, as a definition list."""
    parts: list[Markup] = []
    for key, value in rows:
        parts.append(element("dt", {}, key))
        parts.append(element("dd", {}, value))
    return element("dl", {"class": kind}, *parts)


def paragraph(*parts: str, kind: str | None = None) -> Markup:
    """Return one paragraph."""
    return element("p", {"class": kind}, *parts)


def _cell(tag: str, content: str, right: bool, *, scope: str | None = None) -> Markup:
    return element(tag, {"class": "r" if right else None, "scope": scope}, content)


def _section(section: Section) -> Markup:
    if not section.heading:
        return join([section.content])
    heading = element("h2", {"id": f"{section.name}-heading"}, section.heading)
    lead = paragraph(section.lead, kind="lead") if section.lead else Markup()
    return element(
        "section",
        {"class": "card", "id": section.name, "aria-labelledby": f"{section.name}-heading"},
        heading,
        lead,
        section.content,
    )
