"""The what-if part of a page: whole without scripts, one script whose digest the policy names, nothing let out."""

import base64
import hashlib
import json
import re
from html import unescape

from tests.report import sample

from freehold.core.measure import Estimate, RungResult
from freehold.report.html import MOST_BYTES, climb_html
from freehold.report.view import ReportView
from freehold.report.what_if import script
from freehold.report.what_if_view import CheapestRange, WhatIfRung, WhatIfTable

BARS = tuple(step / 100 for step in range(101))


def letter(quality: Estimate, bar: float) -> str:
    return "P" if quality.low >= bar else "F" if quality.high < bar else "U"


def table_of(rungs: tuple[RungResult, ...]) -> WhatIfTable:
    return WhatIfTable(
        bars=BARS,
        rungs=tuple(
            WhatIfRung(
                rung=rung.rung,
                verdicts="".join(letter(rung.quality, bar) for bar in BARS),
                build_seconds=60.0,
                seconds_per_request=0.1,
                tokens_dollars_per_request=None,
            )
            for rung in rungs
            if rung.quality is not None
        ),
        revalidation_examples=400,
        audit_rung="distil",
        audit="y" * len(BARS),
        cheapest=(
            CheapestRange(rung="distil", low=0, high=53.3),
            CheapestRange(rung="lora", low=53.3, high=None),
        ),
    )


def view(**more: object) -> ReportView:
    climb = sample.climb()
    return sample.view().model_copy(update={"what_if": table_of(climb.rungs), **more})


def test_the_policy_names_the_digest_of_the_one_script_that_runs() -> None:
    page = climb_html(view())
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert [attributes for attributes, _ in scripts] == [
        ' type="application/json" id="what-if-data"',
        "",
    ]
    digest = base64.b64encode(hashlib.sha256(scripts[1][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in unescape(page)
    assert scripts[1][1] == script()
    assert not any(word in script() for word in ("eval(", "http", "innerHTML", "fetch"))
    assert len(page.encode()) < MOST_BYTES


def test_a_page_without_sliders_runs_nothing_and_still_shows_the_totals() -> None:
    page = climb_html(sample.view())
    assert "<script" not in page
    assert 'data-testid="totals-table"' in page and "200k a month" in page


def test_the_cheapest_rung_is_named_for_every_range_of_volume() -> None:
    page = climb_html(view())
    said = "the cheapest is up to 53 requests a month distil, above 53 lora."
    assert said in page


def test_a_hostile_name_stays_in_the_data() -> None:
    climb = sample.climb()
    hostile = "</script><script>alert(1)</script>"
    first = climb.rungs[0].model_copy(update={"rung": hostile})
    changed = climb.model_copy(update={"rungs": (first, *climb.rungs[1:])})
    page = climb_html(view(climb=changed, what_if=table_of(changed.rungs)))
    assert page.count("<script") == 2 and hostile not in page
    held = re.search(r'id="what-if-data">(.*?)</script>', page)
    assert held is not None
    assert json.loads(held[1])["rungs"][0]["name"] == hostile


def test_a_what_if_says_so_and_has_no_sliders_of_its_own() -> None:
    page = climb_html(view(what_if=None, settings=("-s bar.quality=0.9",)))
    assert "what if: -s bar.quality=0.9" in page
    assert "freehold report c12 -s bar.quality=0.9" in page
    assert "<script" not in page
