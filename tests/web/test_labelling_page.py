"""The labelling page in Chromium: real keys, two people, reloads; nothing leaves this machine."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from tests.web.conftest import OpenPage
from tests.web.served import JSON, QUEUES, TEXT, TEXTS, a_chat, rows, served, sure, wait_until

from freehold.core.sections import Columns
from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput, Output
from freehold.data.labelling import Suggester, Suggestion, item_key
from freehold.data.read import read

ANSWERS = [label for _, label in TEXTS]
MANY = tuple(
    f"{word}_{number:02}" for number in range(19) for word in ("card", "cash", "top_up", "fee")
)


def part(page: Page, name: str) -> Locator:
    return page.get_by_test_id(name)


def at_row(page: Page, number: int) -> None:
    """The page shows the row with the `number`th text."""
    expect(part(page, "input")).to_have_text(TEXTS[number - 1][0])


def test_the_pinned_playwright_drives_the_installed_chromium(browser: Browser) -> None:
    assert int(browser.version.split(".")[0]) > 100


def test_rows_are_labelled_with_the_keyboard_alone(open_page: OpenPage, tmp_path: Path) -> None:
    with served(tmp_path, suggester=sure(ANSWERS)) as page_of:
        wait_until(page_of.desk, lambda d: d.see().note == "")
        page = open_page(page_of.address)
        at_row(page, 1)
        expect(part(page, "suggestion")).to_have_text("billing")
        expect(part(page, "progress")).to_have_text("0/5")

        page.keyboard.press("a")
        expect(part(page, "said")).to_have_text("Saved billing. u takes it back.")
        at_row(page, 2)
        page.keyboard.press("4")
        expect(part(page, "said")).to_have_text("Saved tech. u takes it back.")
        at_row(page, 3)
        page.keyboard.press("s")
        at_row(page, 4)
        page.keyboard.press("f")
        at_row(page, 5)
        expect(part(page, "progress")).to_have_text("4/5")

        page.keyboard.press("u")
        at_row(page, 4)
        expect(part(page, "said")).to_have_text("Undone.")
        expect(part(page, "progress")).to_have_text("3/5")
        page.keyboard.press("e")
        expect(page.get_by_role("button", name="3 sales")).to_be_focused()
        page.keyboard.press("Enter")
        at_row(page, 5)
        page.keyboard.press("k")
        at_row(page, 4)
        expect(part(page, "mine")).to_have_text("you answered: sales")
        page.keyboard.press("k")
        at_row(page, 3)
        expect(part(page, "mine")).to_have_text("you skipped")
        page.keyboard.press("j")
        page_at_4 = page.url
        at_row(page, 4)
        page.keyboard.press("j")
        at_row(page, 5)
        assert page.url != page_at_4
        page.keyboard.press("1")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_focused()
        assert [(d.act, d.answer, d.suggested) for d in page_of.decisions if d.act != "undo"] == [
            ("accept", "billing", "billing"),
            ("edit", "tech", "refunds"),
            ("skip", None, "tech"),
            ("flag", None, "sales"),
            ("accept", "sales", "sales"),
            ("accept", "billing", "billing"),
        ]


def test_a_reload_loses_nothing(open_page: OpenPage, tmp_path: Path) -> None:
    with served(tmp_path, suggester=sure(ANSWERS)) as page_of:
        wait_until(page_of.desk, lambda d: d.see().note == "")
        page = open_page(page_of.address)
        page.keyboard.press("a")
        at_row(page, 2)
        page.keyboard.press("j")
        at_row(page, 3)
        page.reload()
        at_row(page, 3)
        expect(part(page, "progress")).to_have_text("1/5")
        page.keyboard.press("k")
        at_row(page, 2)
        page.keyboard.press("k")
        at_row(page, 1)
        page.reload()
        expect(part(page, "mine")).to_have_text("you answered: billing")
    with served(tmp_path, suggester=sure(ANSWERS)) as again:
        page = open_page(again.address)
        expect(part(page, "progress")).to_have_text("1/5")


def test_two_people_in_two_browsers_see_each_other_only_when_both_have_answered(
    open_page: OpenPage, tmp_path: Path
) -> None:
    with served(tmp_path, suggester=sure(ANSWERS)) as page_of:
        wait_until(page_of.desk, lambda d: d.see().note == "")
        ann, ben = open_page(page_of.address), open_page(page_of.address)
        ben.get_by_label("Name").fill("ben")
        ben.keyboard.press("Enter")
        at_row(ben, 1)
        at_row(ann, 1)
        ann.keyboard.press("2")
        at_row(ann, 2)
        expect(part(ben, "other")).to_have_text("ann has answered; shown when you have too")
        expect(ben.get_by_text("refunds", exact=True)).to_have_count(1)  # the choice, no answer
        ben.keyboard.press("a")
        at_row(ben, 2)
        ben.keyboard.press("k")
        expect(part(ben, "other")).to_have_text(re.compile(r"ann\s+refunds ✗ differs from yours"))
        ann.keyboard.press("k")
        expect(part(ann, "other")).to_have_text(re.compile(r"ben\s+billing ✗ differs from yours"))
        ann.keyboard.press("1")
        at_row(ann, 2)
        for key in "aaaa":
            before = part(ann, "progress").inner_text()
            ann.keyboard.press(key)
            expect(part(ann, "progress")).not_to_have_text(before)
        ben.keyboard.press("j")
        at_row(ben, 2)
        ben.keyboard.press("a")
        at_row(ben, 3)
        ben.keyboard.press("1")
        at_row(ben, 4)
        expect(part(ben, "agreement")).to_have_text(re.compile(r"^0\.\d\d \[.*\] n=3$"))
        ben.get_by_role("link", name="agreement").click()
        expect(part(ben, "disputed").get_by_role("row")).to_have_count(2)
        ben.get_by_role("link", name=TEXTS[2][0]).click()
        at_row(ben, 3)
        ann.get_by_role("button", name="Export").click()
        expect(part(ann, "said")).to_have_text(
            "Exported 4 rows to data/labels.jsonl; 1 disputed or flagged apart."
        )
        apart = page_of.written("labels.disputed.jsonl")
        assert [row["answers"] for row in apart] == [{"ann": "tech", "ben": "billing"}]
        reading = read("data/labels.jsonl", columns=Columns(), root=tmp_path)
        found = {e.input: (e.target, e.origin.steps if e.origin else ()) for e in reading.examples}
        assert found[TEXTS[0][0]] == ("billing", ("label: 'billing' by ann and ben",))
        assert found[TEXTS[4][0]] == ("billing", ("label: 'billing' by ann",))


def test_a_label_of_many_is_found_by_typing(open_page: OpenPage, tmp_path: Path) -> None:
    output = LabelOutput(labels=MANY)
    with served(tmp_path, output=output, suggester=sure(["fee_07"], MANY)) as page_of:
        wait_until(page_of.desk, lambda d: d.see().note == "")
        page = open_page(page_of.address)
        options = page.get_by_role("option")
        expect(options).to_have_count(len(MANY))
        expect(options.first).to_contain_text("fee_07")
        page.keyboard.press("e")
        expect(page.get_by_role("combobox", name="Find a label")).to_be_focused()
        page.keyboard.type("top 1")
        expect(options).to_have_count(10)
        expect(part(page, "found")).to_have_text("10 labels")
        page.keyboard.type("2")
        expect(options).to_have_count(1)
        page.keyboard.press("Enter")
        expect(part(page, "said")).to_have_text("Saved top_up_12. u takes it back.")
        page.keyboard.press("/")
        page.keyboard.type("cash")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        chosen = page.locator(".label.at").get_attribute("value")
        field = page.get_by_role("combobox")
        active = field.get_attribute("aria-activedescendant")
        assert page.locator(".label.at").get_attribute("id") == active
        page.keyboard.press("Enter")
        expect(part(page, "said")).to_have_text(f"Saved {chosen}. u takes it back.")
        page.keyboard.press("e")
        page.keyboard.type("asf")
        page.keyboard.press("Escape")
        expect(options).to_have_count(len(MANY))
        expect(part(page, "progress")).to_have_text("2/5")
        page.keyboard.press("1")
        expect(part(page, "said")).to_have_text("Saved fee_07. u takes it back.")


def test_json_is_edited_as_text_and_an_error_keeps_what_was_typed(
    open_page: OpenPage, tmp_path: Path
) -> None:
    suggested = [{"queue": "refunds", "urgency": 3}]
    with served(tmp_path, output=JSON, suggester=sure(suggested)) as page_of:  # pyright: ignore[reportArgumentType]
        wait_until(page_of.desk, lambda d: d.see().note == "")
        page = open_page(page_of.address)
        field = page.get_by_label("Answer as JSON")
        expect(field).to_have_value(json.dumps(suggested[0], indent=2))
        page.keyboard.press("e")
        expect(field).to_be_focused()
        page.keyboard.press("Control+a")
        wrong = '{"queue": "nobody", "urgency": 3}'
        page.keyboard.type(wrong)
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("alert").first).to_contain_text("queue: 'nobody' is not one of")
        expect(field).to_have_value(wrong)
        expect(field).to_be_focused()
        page.keyboard.press("Control+a")
        page.keyboard.type('{"queue": "tech", "urgency": 1}')
        page.keyboard.press("Control+Enter")
        expect(part(page, "progress")).to_have_text("1/5")
        page.keyboard.press("a")
        expect(part(page, "progress")).to_have_text("2/5")
        assert [d.answer for d in page_of.decisions] == [
            {"queue": "tech", "urgency": 1},
            suggested[0],
        ]


def test_free_text_is_written_and_keys_typed_into_it_decide_nothing(
    open_page: OpenPage, tmp_path: Path
) -> None:
    with served(tmp_path, output=TEXT) as page_of:
        page = open_page(page_of.address)
        expect(page.get_by_role("button", name="a accept")).to_be_disabled()
        page.keyboard.press("a")
        page.keyboard.press("e")
        page.keyboard.type("as far as I know")
        page.keyboard.press("Enter")
        page.keyboard.type("just 2 days")
        expect(part(page, "progress")).to_have_text("0/5")
        page.keyboard.press("Control+Enter")
        expect(part(page, "progress")).to_have_text("1/5")
        page.keyboard.press("n")
        page.keyboard.type("skip it: us")
        page.keyboard.press("Enter")
        page.keyboard.press("s")
        expect(part(page, "progress")).to_have_text("2/5")
        first, second = page_of.decisions
        assert first.answer == "as far as I know\njust 2 days"
        assert (second.act, second.note) == ("skip", "skip it: us")


def test_a_suggestion_that_comes_later_appears_and_takes_no_words_away(
    open_page: OpenPage, tmp_path: Path
) -> None:
    gate = Event()
    inner = sure(["from the model"])

    def suggest(
        waiting: Sequence[Example], labelled: Sequence[Example]
    ) -> Iterable[tuple[str, Suggestion]]:
        gate.wait(10)
        return inner.suggest(waiting, labelled)

    late = Suggester(name="c1/lora", suggest=suggest)
    with served(tmp_path, output=TEXT, suggester=late) as page_of:
        page, other = open_page(page_of.address), open_page(page_of.address)
        other.get_by_label("Name").fill("ben")
        other.keyboard.press("Enter")
        expect(page.get_by_text("c1/lora is making suggestions")).to_be_visible()
        field = other.get_by_label("Answer")
        field.fill("my own words")
        gate.set()
        expect(part(page, "suggestion")).to_have_text("from the model")
        expect(page.get_by_label("Answer")).to_have_value("from the model")
        expect(field).to_have_value("my own words")


def test_when_freehold_stops_the_page_says_so_and_what_was_saved_is_on_disk(
    open_page: OpenPage, tmp_path: Path
) -> None:
    with served(tmp_path) as page_of:
        page = open_page(page_of.address)
        page.keyboard.press("1")
        expect(part(page, "progress")).to_have_text("1/5")
    expect(page.get_by_text("Freehold has stopped")).to_be_visible()
    assert len(page_of.decisions) == 1
    page.context.set_offline(True)


def test_the_page_works_without_scripts(open_page: OpenPage, tmp_path: Path) -> None:
    with served(tmp_path, suggester=sure(ANSWERS)) as page_of:
        wait_until(page_of.desk, lambda d: d.see().note == "")
        page = open_page(page_of.address, java_script_enabled=False)
        page.get_by_role("button", name="a accept").click()
        expect(part(page, "progress")).to_have_text("1/5")
        page.get_by_role("button", name="3 sales").click()
        page.get_by_role("button", name="u undo").click()
        expect(part(page, "said")).to_have_text("Undone.")
        page.get_by_role("link", name="k back").click()
        expect(part(page, "mine")).to_have_text("you answered: billing")


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("few", "light"), ("few", "dark"), ("many", "light"), ("json", "dark"), ("text", "light")],
)
def test_every_page_is_accessible_in_both_themes(
    open_page: OpenPage, tmp_path: Path, kind: str, scheme: str
) -> None:
    outputs: dict[str, Output] = {
        "few": LabelOutput(labels=QUEUES),
        "many": LabelOutput(labels=MANY),
        "json": JSON,
        "text": TEXT,
    }
    answers: dict[str, list[Any]] = {
        "few": list(ANSWERS),
        "many": ["fee_07"],
        "json": [{"queue": "tech", "urgency": 1}],
        "text": ["A refund."],
    }
    labels = MANY if kind == "many" else QUEUES
    examples = (a_chat(), *rows()[1:])
    with served(
        tmp_path, output=outputs[kind], examples=examples, suggester=sure(answers[kind], labels)
    ) as page_of:
        wait_until(page_of.desk, lambda d: d.see().note == "")
        page = open_page(page_of.address, color_scheme=scheme)
        other = page_of.desk.work.items[0].key
        for person, answer in (("ben", answers[kind][0]), ("cem", answers[kind][-1])):
            page_of.desk.decide(person, other, act="edit", answer=answer)
        page.goto(f"{page_of.address}/?item={item_key(a_chat())}")
        page.keyboard.press("a")
        expect(part(page, "progress")).to_have_text("1/5")
        page.keyboard.press("k")
        expect(part(page, "mine")).to_be_visible()
        if kind == "many":
            page.keyboard.press("/")
            page.keyboard.type("cash")
        if kind == "json":
            page.get_by_label("Answer as JSON").fill("{")
            page.keyboard.press("Control+Enter")
            expect(page.get_by_role("alert").first).to_be_visible()
        refuse_faults(page)
        if kind == "few":
            for path in ("/agreement", "/?who=1"):
                page.goto(page_of.address + path)
                refuse_faults(page)


def refuse_faults(page: Page) -> None:
    """No rule of WCAG 2 A and AA that axe can check is broken, and nothing is wider than the screen."""
    options = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    axe: Any = Axe()
    found = axe.run(page, options=options)
    assert found.violations_count == 0, found.generate_report()
    refuse_sideways(page)


def refuse_sideways(page: Page) -> None:
    """Nothing is wider than the screen."""
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    whole, shown = page.evaluate(widths)
    assert whole <= shown


def test_a_narrow_screen_shows_everything(open_page: OpenPage, tmp_path: Path) -> None:
    size = {"width": 360, "height": 740}
    output = LabelOutput(labels=MANY)
    with served(
        tmp_path, output=output, examples=(a_chat(), *rows()[1:]), suggester=sure(["fee_07"], MANY)
    ) as page_of:
        page = open_page(page_of.address, viewport=size)
        refuse_sideways(page)
        page.goto(f"{page_of.address}/?item={item_key(a_chat())}")
        refuse_sideways(page)
