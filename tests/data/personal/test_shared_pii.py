"""The sentences of a public set with made-up personal data; skipped where the folder is absent."""

from __future__ import annotations

import json
from pathlib import Path

from freehold.core.sections import PersonalKind
from freehold.data.personal.find import finder

STRUCTURED: dict[str, PersonalKind] = {
    "CREDIT_CARD": "card",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "DOMAIN_NAME": "url",
    "IBAN_CODE": "iban",
    "US_SSN": "national_id",
    "IP_ADDRESS": "ip",
}


def test_structured_kinds_are_found_whole_in_the_sentences_of_the_set(shared_data: Path) -> None:
    lines = (shared_data / "pii" / "synthetic.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = frozenset(STRUCTURED.values())
    find = finder(kinds)
    there: set[tuple[int, int, int, str]] = set()
    found: set[tuple[int, int, int, str]] = set()
    for number, line in enumerate(lines):
        row = json.loads(line)
        for span in row["spans"]:
            if span["type"] in STRUCTURED:
                there.add((number, span["start"], span["end"], STRUCTURED[span["type"]]))
        found.update((number, s.start, s.end, s.kind) for s in find(row["text"]))
    right = len(there & found)
    assert 2 * right / (len(there) + len(found)) >= 0.95
