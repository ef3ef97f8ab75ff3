"""The labelling pages as an application: one page per item, and the forms that decide about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import TypeAlias
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from freehold.core.task import JsonOutput, LabelOutput
from freehold.data.labelling import ANSWERS, LONGEST_NAME, LONGEST_NOTE, Act, Exported, Item
from freehold.report import numbers
from freehold.report.markup import visible
from freehold.report.page import base_css
from freehold.web.guard import Guard
from freehold.web.labelling import view
from freehold.web.labelling.answers import NotAllowed, Reader, answer_reader
from freehold.web.labelling.desk import Desk, Seen
from freehold.web.sessions import Session, Sessions

Fields: TypeAlias = Mapping[str, str]
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
ACTS: Mapping[str, Act] = {"accept": "accept", "edit": "edit", "skip": "skip", "flag": "flag"}
_ASSETS = {
    "labelling.css": "text/css",
    "labelling.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_SHOWN_DISPUTES = 200


def labelling_app(desk: Desk, *, port: int, labeller: str | None, suggested_name: str) -> ASGIApp:
    """Return the application for one desk.

    Args:
        desk: what is labelled.
        port: that it listens on.
        labeller: the name of whoever opens the page first; None asks for it.
        suggested_name: what the question for a name is filled with.

    Raises:
        ConfigError: the schema of the task cannot be used.
    """
    return Guard(_Pages(desk, port=port, labeller=labeller, name=suggested_name).app(), port=port)


@dataclass(frozen=True)
class _Place:
    """Where a labeller is: the desk, the items in their order, and the one to show; None when all are done."""

    seen: Seen
    steps: tuple[Item, ...]
    item: Item | None


class _Pages:
    def __init__(self, desk: Desk, *, port: int, labeller: str | None, name: str) -> None:
        self._desk = desk
        self._read: Reader = answer_reader(desk.work.output)
        self._sessions = Sessions(cookie=f"freehold-label-{port}")
        self._first_labeller = labeller
        self._name = name
        self._templates = Environment(
            loader=PackageLoader("freehold.web.labelling"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["shown"] = visible

    def app(self) -> Starlette:
        routes = [
            Route("/", self._page, methods=["GET"]),
            Route("/agreement", self._agreement, methods=["GET"]),
            Route("/state.json", self._state, methods=["GET"]),
            Route("/labeller", self._changing(self._enter), methods=["POST"]),
            Route("/decide", self._changing(self._decide), methods=["POST"]),
            Route("/undo", self._changing(self._undo), methods=["POST"]),
            Route("/export", self._changing(self._export), methods=["POST"]),
            Route("/assets/base.css", self._base_css, methods=["GET"]),
            Route("/assets/{name}", self._asset, methods=["GET"]),
        ]
        return Starlette(routes=routes)

    # Reading ----------------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        session = self._session(request)
        is_new = session is None
        if session is None:
            session = self._sessions.begin(self._first_labeller)
            self._first_labeller = None
        if session.person is None or request.query_params.get("who") is not None:
            name = session.person or self._name
            response = self._html("name.html", session, name=name, problem="")
        else:
            key = request.query_params.get("item", "")
            response = await run_in_threadpool(self._item_page, session, key)
        if is_new:
            response.set_cookie(
                self._sessions.cookie, session.key, httponly=True, samesite="strict"
            )
        return response

    def _item_page(self, session: Session, key: str) -> Response:
        place = self._place(session, key)
        if place.item is None:
            head = self._head(session, place.seen)
            last = place.steps[-1].key if place.steps else ""
            return self._html("done.html", session, head=head, last=last, said=session.hear())
        return self._card_page(session, place, self._card(session, place, place.item))

    def _place(self, session: Session, key: str) -> _Place:
        """Return where a labeller is: at the item that was asked for, else at the first that waits."""
        labeller = session.person or ""
        seen = self._desk.see()
        steps = view.steps(seen, labeller, self._desk.items)
        waiting = (one for one in steps if seen.standing.of(one.key, labeller) is None)
        return _Place(seen, steps, self._desk.items.get(key) or next(waiting, None))

    def _card(self, session: Session, place: _Place, item: Item) -> view.Card:
        number = numbers.count(place.steps.index(item) + 1)
        return view.card(
            self._desk.work,
            place.seen,
            labeller=session.person or "",
            item=item,
            place=f"{number} of {numbers.count(len(place.steps))}",
        )

    def _card_page(
        self, session: Session, place: _Place, card: view.Card, *, status: int = 200
    ) -> Response:
        steps, here = place.steps, place.steps.index(card.item)
        return self._html(
            "item.html",
            session,
            status=status,
            head=self._head(session, place.seen),
            card=card,
            instruction=self._desk.work.instruction,
            back=steps[here - 1].key if here else "",
            on=steps[here + 1].key if here + 1 < len(steps) else "",
            said=session.hear(),
            revision=_revision(place.seen, card.item.key),
            longest_note=LONGEST_NOTE,
        )

    def _head(self, session: Session, seen: Seen) -> view.Head:
        return view.head(self._desk.work, seen, session.person or "")

    async def _agreement(self, request: Request) -> Response:
        session = self._session(request)
        if session is None or session.person is None:
            return RedirectResponse("/", 303)
        return await run_in_threadpool(self._agreement_page, session)

    def _agreement_page(self, session: Session) -> Response:
        seen = self._desk.see()
        disputes = view.disputes(self._desk.work, seen, session.person or "")
        return self._html(
            "agreement.html",
            session,
            head=self._head(session, seen),
            agreement=seen.agreement,
            disputes=disputes[:_SHOWN_DISPUTES],
            left_out=max(0, len(disputes) - _SHOWN_DISPUTES),
            said="",
        )

    async def _state(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return JSONResponse({"revision": None}, 403)
        seen = await run_in_threadpool(self._desk.see)
        return JSONResponse({"revision": _revision(seen, request.query_params.get("item", ""))})

    async def _base_css(self, _request: Request) -> Response:
        return Response(base_css(), media_type="text/css")

    async def _asset(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in _ASSETS:
            return Response("there is no such file\n", 404, media_type="text/plain")
        file = resources.files("freehold.web.labelling").joinpath("assets", name)
        return Response(file.read_text(encoding="utf-8"), media_type=_ASSETS[name])

    # Changing ---------------------------------------------------------------------------------

    def _changing(self, change: Callable[[Session, Fields], Response]) -> Handler:
        """Return the handler of a form: the session and its token are checked, then `change` is called."""

        async def handle(request: Request) -> Response:
            session = self._session(request)
            body = (await request.body()).decode("utf-8", "replace")
            fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=20))
            if session is None or not session.may(fields.get("token", "")):
                return self._refused()
            return await run_in_threadpool(change, session, fields)

        return handle

    def _enter(self, session: Session, fields: Fields) -> Response:
        name = " ".join(visible(fields.get("name", "")).split())
        if not 0 < len(name) <= LONGEST_NAME:
            problem = f"A name has 1 to {LONGEST_NAME} characters."
            return self._html("name.html", session, status=422, name=name, problem=problem)
        session.person = name
        return RedirectResponse("/", 303)

    def _decide(self, session: Session, fields: Fields) -> Response:
        item = self._desk.items.get(fields.get("item", ""))
        act = ACTS.get(fields.get("act", ""))
        if session.person is None or item is None or act is None:
            return self._refused()
        place = self._place(session, item.key)
        note = fields.get("note", "").strip()[:LONGEST_NOTE]
        answer = None
        if act in ANSWERS:
            text = fields.get("answer", "")
            try:
                answer = self._read(text)
            except NotAllowed as problem:
                card = self._card(session, place, item)
                card = replace(card, typed=text, problem=str(problem), note=note)
                return self._card_page(session, place, card, status=422)
            act = act if act == "accept" else _act_of(place.seen, item, answer)
        decision = self._desk.decide(session.person, item.key, act=act, answer=answer, note=note)
        session.said = view.said(decision)
        return _to(self._following(session, place, item))

    def _following(self, session: Session, place: _Place, item: Item) -> str:
        """Return the key of the item that waits behind this one; nothing where the first one is next."""
        standing = self._desk.see().standing
        behind = place.steps[place.steps.index(item) + 1 :]
        waiting = (one for one in behind if standing.of(one.key, session.person or "") is None)
        found = next(waiting, None)
        return found.key if found is not None else ""

    def _undo(self, session: Session, _fields: Fields) -> Response:
        if session.person is None:
            return self._refused()
        undone = self._desk.undo(session.person)
        session.said = view.said(undone, undone=True)
        return _to(undone.item if undone else "")

    def _export(self, session: Session, fields: Fields) -> Response:
        if session.person is None:
            return self._refused()
        session.said = _exported(self._desk.export())
        return _to(fields.get("item", ""))

    # ------------------------------------------------------------------------------------------

    def _session(self, request: Request) -> Session | None:
        return self._sessions.get(request.cookies.get(self._sessions.cookie))

    def _refused(self) -> Response:
        reason = "This page is of an earlier start of Freehold: open it again."
        return HTMLResponse(self._templates.get_template("refused.html").render(reason=reason), 403)

    def _html(
        self, template: str, session: Session, *, status: int = 200, **names: object
    ) -> Response:
        work = self._desk.work
        output = work.output
        labels = len(output.labels) if isinstance(output, LabelOutput) else 0
        page = self._templates.get_template(template).render(
            token=session.token,
            person=session.person,
            task=work.name,
            has_many_labels=labels > view.DIGITS,
            is_json=isinstance(output, JsonOutput),
            count=numbers.count,
            **names,
        )
        return HTMLResponse(page, status)


def _act_of(seen: Seen, item: Item, answer: JsonValue) -> Act:
    """Return `accept` where the answer is what was proposed, however it was given."""
    suggestion = seen.suggestions.get(item.key)
    proposed = suggestion.answer if suggestion is not None else item.given
    return "accept" if proposed is not None and answer == proposed else "edit"


def _to(item: str) -> Response:
    return RedirectResponse(f"/?{urlencode({'item': item})}" if item else "/", 303)


def _revision(seen: Seen, item: str) -> str:
    """Return a text that changes when the page of an item would show something else."""
    suggestion = seen.suggestions.get(item)
    shown = suggestion.digest[-12:] if suggestion is not None else ""
    decisions = sum(len(mine) for mine in seen.standing.history.values())
    return f"{decisions}.{shown}.{seen.note}"


def _exported(found: Exported) -> str:
    rows = numbers.plural(found.rows, "row")
    apart = (
        f"; {numbers.count(found.disputed_rows)} disputed or flagged apart"
        if found.disputed
        else ""
    )
    return f"Exported {rows} to {found.labels.source.name}{apart}."
