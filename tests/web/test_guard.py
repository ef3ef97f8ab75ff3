import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from freehold.web.guard import MOST_BYTES, POLICY, Guard
from freehold.web.listening import HOST, address_of, open_port, port_of
from freehold.web.sessions import MOST_SESSIONS, Sessions

HERE = "http://127.0.0.1:7411"


def client(address: str = HERE) -> TestClient:
    return TestClient(Guard(PlainTextResponse("inside"), port=7411), base_url=address)


@pytest.mark.parametrize("address", [HERE, "http://localhost:7411", "http://[::1]:7411"])
def test_loopback_names_with_the_right_port_are_answered_with_every_header(address: str) -> None:
    answer = client(address).get("/")
    assert (answer.status_code, answer.text) == (200, "inside")
    assert answer.headers["content-security-policy"] == POLICY
    assert POLICY.startswith("default-src 'self';")
    for name, value in {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }.items():
        assert answer.headers[name] == value


@given(st.from_regex(r"[a-z0-9.\-]{1,30}(:[0-9]{1,5})?", fullmatch=True))
def test_any_other_host_is_refused_so_that_a_rebound_name_reads_nothing(host: str) -> None:
    if host in {"127.0.0.1:7411", "localhost:7411"}:
        return
    answer = client().get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "inside" not in answer.text


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "http://127.0.0.1:7412", "http://localhost:7411"]
)
def test_a_change_that_does_not_come_from_the_page_is_refused(origin: str) -> None:
    headers = {"origin": origin} if origin else {}
    assert client().post("/", content=b"x", headers=headers).status_code == 403
    assert client().post("/", content=b"x", headers={"origin": HERE}).status_code == 200


def test_a_large_request_is_refused_before_it_is_read() -> None:
    large = b"x" * (MOST_BYTES + 1)
    assert client().post("/", content=large, headers={"origin": HERE}).status_code == 413


def test_a_request_of_unknown_length_is_refused() -> None:
    answer = client().post("/", content=iter([b"x"]), headers={"origin": HERE})
    assert answer.status_code == 411


def test_the_usual_port_is_taken_else_a_free_one_and_only_loopback_listens() -> None:
    first = open_port(0)
    with first:
        first.listen()
        second = open_port(port_of(first))
        with second:
            assert port_of(second) != port_of(first)
            assert first.getsockname()[0] == second.getsockname()[0] == HOST
            assert address_of(second) == f"http://127.0.0.1:{port_of(second)}"


def test_a_session_knows_its_token_and_the_oldest_of_very_many_is_forgotten() -> None:
    sessions = Sessions(cookie="c")
    first = sessions.begin("ann")
    assert first.may(first.token)
    assert not first.may(sessions.begin().token)
    assert not first.may("")
    for _ in range(MOST_SESSIONS):
        sessions.begin()
    assert sessions.get(first.key) is None
    assert sessions.get(None) is None
