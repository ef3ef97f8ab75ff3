"""The pure parts of endpoints: the budget is never passed, waits are bounded, bodies are read without faith."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.message import user
from freehold.core.sections import BudgetSection, EndpointSpec, UserEndpoint
from freehold.models import endpoint_wire as wire
from freehold.models.endpoint_backoff import (
    LONGEST_SECONDS,
    is_retried,
    retry_after_seconds,
    wait_seconds,
)
from freehold.models.endpoint_budget import Amount, Ceiling, Purse, amount_of, ceiling_of
from freehold.models.endpoint_identity import PROBES, Identity, digest_of, is_same
from freehold.models.endpoints import place_of
from freehold.models.remote import BudgetReachedError, TokenPrices

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SIZES = st.integers(min_value=0, max_value=1000)


@given(
    limit=st.integers(min_value=0, max_value=5000),
    requests=st.lists(st.tuples(SIZES, st.floats(min_value=0, max_value=1), st.integers(0, 9))),
)
def test_a_budget_is_never_passed_however_requests_overlap(
    limit: int, requests: list[tuple[int, float, int]]
) -> None:
    kept: list[Amount] = []
    purse = Purse(Ceiling(nanodollars=limit * 3, tokens=limit), keep=kept.append)
    under_way: list[tuple[Amount, Amount]] = []
    for most, share, settled in requests:
        for _ in range(min(settled, len(under_way))):
            purse.settle(*under_way.pop(0))
        amount = Amount(nanodollars=3 * most, tokens=most)
        used = int(most * share)
        # Where it does not fit beside what is open, it would wait: here it gives up at once.
        try:
            is_ready = purse.set_aside(amount, should_stop=lambda: bool(under_way))
        except BudgetReachedError:
            break
        if is_ready:
            under_way.append((amount, Amount(nanodollars=3 * used, tokens=used)))
        counted = sum((change.tokens for change in kept), 0)
        assert counted <= limit  # what a crash would leave counted
    for pair in under_way:
        purse.settle(*pair)
    assert purse.spent.tokens == sum(change.tokens for change in kept) <= limit
    assert purse.spent.nanodollars <= 3 * limit


def test_a_request_waits_for_others_before_the_budget_is_called_reached() -> None:
    purse = Purse(Ceiling(tokens=100))
    big = Amount(tokens=80)
    assert purse.set_aside(big)
    timer = threading.Timer(0.1, purse.settle, (big, Amount(tokens=10)))
    timer.start()
    assert purse.set_aside(big)
    timer.join()
    purse.settle(big, Amount(tokens=10))
    with pytest.raises(BudgetReachedError, match=r"budget\.tokens is 100, 20 are spent"):
        purse.set_aside(Amount(tokens=90))
    with pytest.raises(BudgetReachedError):  # nothing is sent after it, however small
        purse.set_aside(Amount(tokens=1))


def test_amounts_are_rounded_up_and_ceilings_down() -> None:
    prices = TokenPrices(dollars_per_million_input_tokens=0.15)
    assert amount_of(prices, prompt_tokens=1, answer_tokens=9) == Amount(150, 10)
    third = TokenPrices(dollars_per_million_output_tokens=1 / 3)
    assert amount_of(third, prompt_tokens=0, answer_tokens=1).nanodollars == 334
    assert ceiling_of(BudgetSection(dollars=1.0000000019)) == Ceiling(1_000_000_001, None)
    assert TokenPrices().dollars(prompt_tokens=1, answer_tokens=1) is None


@given(
    attempt=st.integers(min_value=0, max_value=10_000),
    asked=st.none() | st.floats(min_value=0, max_value=1e6),
    seed=st.integers(),
)
def test_a_wait_is_bounded_and_never_shorter_than_asked(
    attempt: int, asked: float | None, seed: int
) -> None:
    wait = wait_seconds(attempt, retry_after=asked, rng=random.Random(seed))
    assert wait >= (asked or 0.0)
    assert wait <= max(LONGEST_SECONDS, asked or 0.0)
    assert wait >= min(0.25 * 2.0 ** min(attempt, 20), LONGEST_SECONDS / 2)


def test_retry_after_is_seconds_or_a_date() -> None:
    later = format_datetime(NOON + timedelta(seconds=90), usegmt=True)
    assert retry_after_seconds("7", now=NOON) == 7.0
    assert retry_after_seconds(later, now=NOON) == 90.0
    assert retry_after_seconds(later, now=NOON + timedelta(hours=1)) == 0.0
    for unclear in (None, "", "soon", "-3", "nan", "1e9"):
        assert retry_after_seconds(unclear, now=NOON) is None


@given(st.text())
def test_any_retry_after_is_a_finite_wait_or_none(text: str) -> None:
    found = retry_after_seconds(text, now=NOON)
    assert found is None or found >= 0.0


def test_only_what_may_pass_is_tried_again() -> None:
    assert [code for code in range(200, 600) if is_retried(code)] == [
        408, 409, 425, 429, *range(500, 600),
    ]  # fmt: skip


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_a_completion_or_as_what_they_are(body: bytes) -> None:
    found = wire.read_completion(body)
    assert isinstance(found, wire.Completion | str)
    assert isinstance(wire.error_detail(body), str)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "logprobs", "token", "logprob", "error"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_as_a_completion_or_as_what_is_wrong(value: object) -> None:
    assert isinstance(wire.read_completion(json.dumps(value).encode()), wire.Completion | str)
    assert isinstance(wire.error_detail(json.dumps(value).encode()), str)


def test_reading_takes_apart_what_servers_send() -> None:
    body = {
        "choices": [
            {"message": {"content": [{"type": "text", "text": "a"}]}, "finish_reason": "length"}
        ]
    }
    found = wire.read_completion(json.dumps(body).encode())
    assert isinstance(found, wire.Completion)
    assert (found.text, found.truncated, found.prompt_tokens) == ("a", True, None)
    assert wire.error_detail(b'{"error": {"message": "no"}}') == "no"
    assert wire.error_detail(b'{"detail": "why"}') == "why"


def test_labels_are_found_however_they_are_written() -> None:
    labels = ("lost card", "Lost Card", "top up")
    assert wire.label_place("Lost Card", labels) == 1
    assert wire.label_place(" TOP  up. ", labels) == 2
    assert wire.label_place("lost CARD", labels) is None  # either of two
    assert wire.label_place("something", labels) is None


def test_first_tokens_choose_only_without_doubt() -> None:
    def first(**chances: float) -> wire.TokenChoice:
        return wire.TokenChoice("x", -1.0, tuple(chances.items()))

    assert wire.likeliest_label(first(re=-1.0, bl=-0.5), ("red", "blue")) == 1
    assert wire.likeliest_label(first(r=-0.1), ("red", "rose")) is None
    assert wire.likeliest_label(first(zz=-0.1), ("red", "blue")) is None


@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_a_prompt_has_no_more_tokens_than_bytes(texts: list[str]) -> None:
    messages = tuple(user(text) for text in texts)
    most = wire.most_prompt_tokens(messages)
    assert most >= sum(len(text.encode("utf-8", "replace")) for text in texts)
    assert wire.estimated_tokens(messages) <= most


def test_a_model_is_the_same_while_nearly_all_probes_are_answered_alike() -> None:
    answers = tuple(f"answer {number}" for number in range(len(PROBES)))
    known = Identity(model="m", served={"id": "m"}, answers=answers)

    def changed(count: int) -> Identity:
        others = ("other",) * count + answers[count:]
        return known.model_copy(update={"answers": others, "system_fingerprints": ("fp",)})

    assert is_same(known, changed(2))
    assert not is_same(known, changed(3))
    assert not is_same(known, known.model_copy(update={"served": {"id": "m", "meta": {"n": 1}}}))
    assert is_same(known, known.model_copy(update={"served": None}))
    assert digest_of(known, 0) != digest_of(known, 1)


def test_places_are_told_from_the_url_alone() -> None:
    assert place_of("http://localhost:8000/v1") == "this machine"
    assert place_of("http://[::1]:8000/v1") == "this machine"
    assert place_of("http://10.0.0.7/v1") == "a private network"
    assert place_of("https://8.8.8.8/v1") == "the internet"
    assert place_of("https://models.example.org/v1") == "a host by name"


@pytest.mark.parametrize("url", ["ftp://x/v1", "http://user:pass@x/v1", "http://x/v1?key=1", "x"])
def test_a_url_holds_no_secret_and_no_other_protocol(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        EndpointSpec(url=url)
    with pytest.raises(ValueError, match="key"):
        UserEndpoint(url="http://x/v1", key="sk-live")
