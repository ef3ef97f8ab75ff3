"""The labelling page as HTTP: what a browser is sent, and what is refused. No browser takes part."""

import html
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import JsonValue
from starlette.testclient import TestClient
from tests.report.reader import Reader
from tests.web.served import JSON, TEXT, TEXTS, a_chat, a_desk, rows, sure, wait_until

from freehold.core.snapshot import Example
from freehold.core.task import LabelOutput, Output
from freehold.data.labelling import Suggester, item_key
from freehold.web.labelling.app import labelling_app
from freehold.web.labelling.desk import Desk

HERE = "http://127.0.0.1:7411"
ANSWERS: list[JsonValue] = [label for _, label in TEXTS]


class Visitor:
    """One browser: keeps its cookie, and sends the token of the page that it saw last."""

    def __init__(self, app: object) -> None:
        self.client = TestClient(app, base_url=HERE)  # pyright: ignore[reportArgumentType]
        self.page = ""

    def get(self, path: str = "/") -> str:
        self.page = self.client.get(path).text
        return self.page

    def post(self, path: str, *, status: int = 200, **fields: str) -> str:
        token = re.search('name="token" value="([^"]+)"', self.page)
        sent = {"token": token.group(1) if token else "", **fields}
        answer = self.client.post(path, data=sent, headers={"origin": HERE})
        assert answer.status_code == status, answer.text
        self.page = answer.text
        return self.page

    @property
    def item(self) -> str:
        found = re.search('data-item="([^"]+)"', self.page)
        return found.group(1) if found else ""

    def decide(self, act: str, answer: str = "", *, status: int = 200, note: str = "") -> str:
        return self.post(
            "/decide", status=status, item=self.item, act=act, answer=answer, note=note
        )


@contextmanager
def visited(
    project: Path,
    *,
    output: Output | None = None,
    examples: tuple[Example, ...] = (),
    suggester: Suggester | None = None,
) -> Generator[tuple[Desk, Visitor, Visitor]]:
    """A desk, and ann and ben before it in two browsers."""
    options = {} if output is None else {"output": output}
    with a_desk(project, examples=examples, suggester=suggester, **options) as desk:  # pyright: ignore[reportArgumentType]
        app = labelling_app(desk, port=7411, labeller="ann", suggested_name="ann")
        ann, ben = Visitor(app), Visitor(app)
        ann.get()
        ben.get()
        ben.post("/labeller", name="  ben ")
        yield desk, ann, ben


def text_of(page: str, testid: str) -> list[str]:
    """The text of every element with that test id."""
    found = re.findall(rf'<(\w+)[^>]*data-testid="{testid}"[^>]*>(.*?)</\1>', page, re.DOTALL)
    return [" ".join(html.unescape(re.sub("<[^>]+>", " ", part)).split()) for _, part in found]


def test_the_first_browser_is_the_named_labeller_and_the_second_is_asked(tmp_path: Path) -> None:
    with visited(tmp_path) as (desk, ann, ben):
        assert ">ann</a>" in ann.page
        assert ">ben</a>" in ben.page
        other = Visitor(labelling_app(desk, port=7411, labeller=None, suggested_name="cem"))
        assert "Who is labelling?" in other.get()
        assert 'value="cem"' in other.page
        for name in ("", "   ", "x" * 41):
            assert "A name has 1 to 40" in other.post("/labeller", status=422, name=name)


@pytest.mark.parametrize("output", [LabelOutput(labels=("a", "b")), JSON, TEXT])
def test_every_page_nests_and_loads_only_what_lies_beside_it(
    tmp_path: Path, output: Output
) -> None:
    with visited(tmp_path, output=output, examples=(a_chat(), *rows()[1:])) as (_, ann, _ben):
        chat = f"/?item={item_key(a_chat())}"
        for path in ("/", chat, "/agreement", "/?who=1"):
            reader = Reader()
            reader.feed(ann.get(path))
            assert reader.faults == []
            for node in reader.nodes:
                for name in ("src", "href", "action"):
                    assert (node.attributes.get(name) or "/").startswith("/")
                assert not [a for a in node.attributes if a.startswith("on") or a == "style"]
            assert {n.tag for n in reader.nodes if n.tag == "script"} == {"script"}
        for name in ("base.css", "labelling.css", "labelling.js", "icon.svg"):
            assert ann.client.get(f"/assets/{name}").status_code == 200
        for name in ("app.py", "..%2Fapp.py", "%2e%2e/app.py"):
            assert ann.client.get(f"/assets/{name}").status_code == 404


def test_what_rows_hold_is_shown_as_text_with_hidden_characters_written_out(
    tmp_path: Path,
) -> None:
    with visited(tmp_path, output=TEXT, examples=(a_chat(),)) as (_, ann, _ben):
        page = ann.get()
        assert "Is &lt;b&gt;that&lt;/b&gt; covered? ⟨U+202E⟩" in page
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "What is the order number?" in page
        assert page.count("every order can be returned") == 3


def test_decisions_are_kept_and_the_next_row_follows(tmp_path: Path) -> None:
    with visited(tmp_path, suggester=sure(ANSWERS)) as (desk, ann, _):
        wait_until(desk, lambda d: d.see().note == "")
        ann.get()
        assert text_of(ann.page, "suggestion") == ["billing"]
        ann.decide("accept", "billing")
        assert text_of(ann.page, "progress") == ["1/5"]
        assert text_of(ann.page, "said") == ["Saved billing. u takes it back."]
        ann.decide("edit", "tech", note="the app, not the refund")
        ann.decide("skip")
        ann.decide("flag", note="two questions")
        ann.decide("edit", "billing")
        assert "Nothing waits for you" in ann.page
        ann.post("/undo")
        assert text_of(ann.page, "said") == ["Undone."]
        history = desk.see().standing.history["ann"]
        assert [(d.act, d.answer, d.note) for d in history] == [
            ("accept", "billing", ""),
            ("edit", "tech", "the app, not the refund"),
            ("skip", None, ""),
            ("flag", None, "two questions"),
        ]


def test_an_answer_that_equals_the_suggestion_is_an_acceptance_however_it_was_given(
    tmp_path: Path,
) -> None:
    with visited(tmp_path, examples=rows(target=True)) as (desk, ann, _):
        given = text_of(ann.page, "given")[0]
        ann.decide("edit", given)
        assert desk.see().standing.history["ann"][0].act == "accept"


def test_an_answer_of_another_is_hidden_until_both_are_in(tmp_path: Path) -> None:
    with visited(tmp_path) as (desk, ann, ben):
        ann.get()
        item = ann.item
        ann.decide("edit", "refunds")
        assert ben.get() and ben.item == item
        assert text_of(ben.page, "other") == ["ann has answered; shown when you have too"]
        assert 'aria-pressed="true"' not in ben.page
        ben.decide("skip")
        assert text_of(ben.get(f"/?item={item}"), "other") == [
            "ann has answered; shown when you have too"
        ]
        ben.decide("edit", "billing")
        assert text_of(ben.get(f"/?item={item}"), "other") == ["ann refunds ✗ differs from yours"]
        assert text_of(ann.get(f"/?item={item}"), "other") == ["ben billing ✗ differs from yours"]
        assert "refunds" in ann.get("/agreement")
        assert desk.see().progress.disputed == 1
        third = Visitor(labelling_app(desk, port=7411, labeller="cem", suggested_name=""))
        third.get()
        assert "Nowhere that you have answered." in third.get("/agreement")


def test_json_is_validated_and_what_was_typed_stays(tmp_path: Path) -> None:
    with visited(tmp_path, output=JSON) as (desk, ann, _):
        wrong = '{"queue": "tech", "urgency": 9} <x>'
        page = ann.decide("edit", wrong, status=422)
        assert 'role="alert"' in page
        assert html.escape(wrong, quote=False) in page.replace("&#34;", '"')
        ann.decide("edit", '{"queue": "tech",\r\n "urgency": 2}')
        assert desk.see().standing.history["ann"][0].answer == {"queue": "tech", "urgency": 2}


def test_a_label_that_is_none_is_refused(tmp_path: Path) -> None:
    with visited(tmp_path) as (desk, ann, _):
        assert "none of the 4 labels" in ann.decide("edit", "billling", status=422)
        assert desk.see().progress.done == 0


def test_a_change_without_the_token_of_its_session_is_refused(tmp_path: Path) -> None:
    with visited(tmp_path) as (desk, ann, ben):
        item = ann.item
        for path in ("/decide", "/undo", "/export", "/labeller"):
            for token in ("", "wrong", re.findall('name="token" value="([^"]+)"', ben.page)[0]):
                fields = {"token": token, "item": item, "act": "skip", "name": "eve"}
                answer = ann.client.post(path, data=fields, headers={"origin": HERE})
                assert answer.status_code == 403
                assert "open it again" in answer.text
        assert desk.see().progress.done == 0
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "fields", [{"act": "undo"}, {"act": "accept"}, {"item": "none", "act": "skip"}, {}]
)
def test_a_form_that_no_page_has_changes_nothing(tmp_path: Path, fields: dict[str, str]) -> None:
    with visited(tmp_path) as (desk, ann, _):
        sent = {"item": ann.item, "answer": "", **fields}
        token = re.findall('name="token" value="([^"]+)"', ann.page)[0]
        answer = ann.client.post("/decide", data={"token": token, **sent}, headers={"origin": HERE})
        assert answer.status_code in {403, 422}
        assert desk.see().progress.done == 0


def test_many_labels_are_listed_likeliest_first_with_digits(tmp_path: Path) -> None:
    labels = tuple(f"label_{number:02}" for number in range(77))
    with visited(
        tmp_path, output=LabelOutput(labels=labels), suggester=sure(["label_40"], labels)
    ) as (desk, ann, _):
        wait_until(desk, lambda d: d.see().note == "")
        page = ann.get()
        shown = re.findall(r'name="answer" value="(label_\d+)"', page)
        assert sorted(shown) == sorted(labels)
        assert shown[0] == "label_40"
        assert re.findall(r'data-digit="(\d)"', page) == [str(digit) for digit in range(1, 10)]
        assert 'role="listbox"' in page


def test_export_writes_what_is_agreed_and_says_where(tmp_path: Path) -> None:
    with visited(tmp_path) as (_, ann, ben):
        for visitor in (ann, ben):
            visitor.get()
            visitor.decide("edit", "tech")
        ann.get()
        ann.decide("flag")
        ann.post("/export")
        assert text_of(ann.page, "said") == [
            "Exported 1 row to data/labels.jsonl; 1 disputed or flagged apart."
        ]
        assert len((tmp_path / "data/labels.jsonl").read_text().splitlines()) == 1


def test_the_state_of_a_page_changes_when_somebody_decides(tmp_path: Path) -> None:
    with visited(tmp_path) as (_, ann, ben):
        before = ann.client.get("/state.json").json()["revision"]
        ben.get()
        ben.decide("skip")
        assert ann.client.get("/state.json").json()["revision"] != before
        stranger = TestClient(ann.client.app, base_url=HERE)
        assert stranger.get("/state.json").status_code == 403
