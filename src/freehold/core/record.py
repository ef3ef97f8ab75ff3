"""The base of every record, and how records are named.

A record is a frozen value that refuses surprises: unknown fields, loose types, NaN and infinity.
Its name is the SHA-256 of its kind and its canonical JSON, so that equal records have equal names
on every machine, and a changed record cannot keep its name.
"""

from __future__ import annotations

import hashlib
import json
from typing import Self

from pydantic import BaseModel, ConfigDict, JsonValue


def canonical_json(value: JsonValue) -> bytes:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8, no NaN or infinity.

    Raises:
        ValueError: `value` holds NaN or infinity.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", errors="surrogatepass")


def digest_bytes(content: bytes) -> str:
    """Return `sha256:` and the 64 hexadecimal digits of the SHA-256 of `content`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_json(kind: str, value: JsonValue) -> str:
    """Return the digest of a kind and a JSON value; kinds keep equal values apart."""
    return digest_bytes(kind.encode() + b"\n" + canonical_json(value))


def short(digest: str) -> str:
    """Return the first eight hexadecimal digits of a digest, for people's eyes only."""
    return digest.removeprefix("sha256:")[:8]


class Record(BaseModel):
    """A frozen, strict value that is named by its content."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    @property
    def digest(self) -> str:
        """The name of this record: `sha256:` over its class name and canonical JSON."""
        return digest_json(type(self).__name__, self.to_json())

    def to_json(self) -> JsonValue:
        """Return this record as JSON values (lists for tuples, text for enums)."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a record from JSON text, with the strictness of `Record`.

        Raises:
            pydantic.ValidationError: the text is not JSON, or does not fit the record.
        """
        return cls.model_validate_json(text)
