"""Under which terms a teacher's outputs stand, as far as its folder says so.

This reads names of licences and judges none. A model's licence may say more about its outputs than its
name does (some allow no training of other models on them), so whoever trains on a teacher's answers
reads the terms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from freehold.core.record import Record

UNKNOWN = "unknown"
_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING")
_READ_CHARACTERS = 20_000
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(license|license_name)\s*:\s*[\"']?([^\"'#\n]+?)[\"']?\s*$", re.MULTILINE)
_ELSEWHERE = ("other", "unknown", "")

#: What a licence calls itself -> its SPDX name, or the words of the licence where it has none.
TITLES: Mapping[str, str] = {
    r"Apache License,?\s+Version 2\.0": "Apache-2.0",
    r"\bMIT License\b": "MIT",
    r"Permission is hereby granted, free of charge, to any person obtaining a copy": "MIT",
    r"Redistribution and use in source and binary forms.*Neither the name": "BSD-3-Clause",
    r"Redistribution and use in source and binary forms": "BSD-2-Clause",
    r"CC0 1\.0|Creative Commons Zero": "CC0-1.0",
    r"Attribution-NonCommercial": "CC-BY-NC",
    r"Attribution-ShareAlike": "CC-BY-SA",
    r"Creative Commons Attribution": "CC-BY",
    r"LLAMA.{0,40}COMMUNITY LICENSE": "Llama community licence",
    r"Gemma Terms of Use": "Gemma terms of use",
    r"GNU AFFERO GENERAL PUBLIC LICENSE": "AGPL",
    r"GNU GENERAL PUBLIC LICENSE": "GPL",
}
_FREE = re.compile(r"apache-2|^mit$|^bsd|^cc0|^cc-by(-\d[\d.]*)?$|^isc$|^unlicense$", re.IGNORECASE)


class Terms(Record):
    """The licence of a teacher, and where it was read: `data.synth.licence`, a file, or nowhere."""

    licence: str
    source: str

    @property
    def are_known(self) -> bool:
        """Whether a licence was found or given."""
        return self.licence != UNKNOWN

    @property
    def are_free(self) -> bool:
        """Whether it is one that is known to put no condition on training with the outputs."""
        return bool(_FREE.search(self.licence))


def terms_of(folder: Path | None, *, given: str | None = None) -> Terms:
    """Return the terms of a model: what was given, else what its folder says.

    The front matter of its README (`license: apache-2.0`) is looked at first, then its licence file,
    then the text of the README.

    Args:
        folder: the model's; None where it is not on this machine.
        given: the user's own word.
    """
    if given is not None:
        return Terms(licence=given, source="data.synth.licence")
    if folder is None:
        return Terms(licence=UNKNOWN, source="nowhere")
    readme = _text(folder / "README.md")
    front = _front_matter(readme)
    if front is not None:
        return Terms(licence=front, source="README.md")
    for name in _LICENCE_FILES:
        text = _text(folder / name)
        if text:
            return Terms(licence=_title(text) or f"see {name}", source=name)
    title = _title(readme)
    return (
        Terms(licence=title, source="README.md")
        if title
        else Terms(licence=UNKNOWN, source="nowhere")
    )


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_READ_CHARACTERS)
    except OSError:
        return ""


def _front_matter(readme: str) -> str | None:
    block = _FRONT_MATTER.match(readme)
    fields = dict(_FIELD.findall(block.group(1))) if block else {}
    named = fields.get("license", "").strip()
    if named.casefold() in _ELSEWHERE:
        named = fields.get("license_name", "").strip()
    return named or None


def _title(text: str) -> str | None:
    flat = " ".join(text.split())
    return next(
        (name for pattern, name in TITLES.items() if re.search(pattern, flat, re.IGNORECASE)), None
    )
