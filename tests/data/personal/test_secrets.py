"""Keys, tokens and passwords; every one here is made up."""

from __future__ import annotations

import pytest

from freehold.data.personal.find import find_personal
from freehold.data.personal.secrets import entropy_bits, looks_random

BODY = "wJ4kQ9zT7bN2mX5cV8pL3rS6dF1gH0aY"


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "Q3EGRIZ7PLM4TDVN",
        "ghp_" + BODY + "ab12",
        "github_pat_" + BODY + BODY,
        "glpat-" + BODY[:20],
        "xoxb-" + "123456789012-" + BODY[:24],
        "AIza" + BODY + "abc",
        "sk_live_" + BODY,
        "sk-ant-" + BODY,
        "hf_" + BODY + "ab",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9." + BODY,
        "hooks.slack.com/services/T" + "0ABCDEFGH/B0ABCDEFGH/" + BODY[:24],
    ],
)
def test_tokens_of_known_makers_are_found_whole(secret: str) -> None:
    text = f"use {secret}, please"
    assert [(s.kind, text[s.start : s.end]) for s in find_personal(text)] == [("secret", secret)]


def test_a_private_key_is_found_with_all_its_lines() -> None:
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY}==\n-----END RSA PRIVATE KEY-----"
    text = f"see\n{key}\nthanks"
    assert [text[s.start : s.end] for s in find_personal(text)] == [key]


@pytest.mark.parametrize(
    "text",
    [
        f"api_key = '{BODY}'",
        f'"client_secret": "{BODY}"',
        f"Authorization: Bearer {BODY}",
        f"TOKEN={BODY}",
    ],
)
def test_assigned_random_text_is_a_secret_without_its_name(text: str) -> None:
    assert [(s.kind, text[s.start : s.end]) for s in find_personal(text)] == [("secret", BODY)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("postgresql://app:s3cr!t@db.internal:5432/app", "s3cr!t"),
        ("my password is hunter2!", "hunter2"),
        ('"password": "Tr0ub4dor"', "Tr0ub4dor"),
    ],
)
def test_passwords_are_found(text: str, value: str) -> None:
    assert [(s.kind, text[s.start : s.end]) for s in find_personal(text)] == [("password", value)]


@pytest.mark.parametrize(
    "text",
    [
        "api_key = your-api-key-here-12345",
        "the secret is to keep calm and carry on",
        "I forgot my password and the password is wrong",
        "token: <token>",
        "password = ${PASSWORD_1}",
        "key: value",
        "the primary key is customer_identifier_number",
    ],
)
def test_talk_of_secrets_is_none(text: str) -> None:
    assert not [s for s in find_personal(text) if s.kind in {"secret", "password"}]


def test_entropy_tells_random_text_from_words() -> None:
    assert entropy_bits("aaaa") == 0
    assert entropy_bits("abcd") == 2
    assert looks_random(BODY)
    assert not looks_random("customer_identifier_1")
    assert not looks_random("onlyletterswithoutanydigits")
