"""Keys, tokens and passwords, by the marks that their makers give them, or by what they are called."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from freehold.data.personal.records import Hit

_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|AGPA|AROA|AIDA|ANPA)[A-Z2-7]{16}"  # Amazon Web Services
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{40,255}"
    r"|glpat-[A-Za-z0-9_-]{20,64}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-\d-[A-Za-z0-9-]{10,250}"  # Slack
    r"|hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{16,32}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,512}"  # Google
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{16,128}|whsec_[A-Za-z0-9+/]{24,64}"  # Stripe
    r"|sk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,200}"
    r"|hf_[A-Za-z0-9]{30,64}|npm_[A-Za-z0-9]{36}|pypi-Ag[A-Za-z0-9_-]{50,255}"
    r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"  # SendGrid
    r"|dop_v1_[a-f0-9]{64}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|dapi[a-f0-9]{32}"
    r"|\d{8,10}:AA[A-Za-z0-9_-]{33}"  # Telegram
    r")(?![A-Za-z0-9_])"
)
_JWT = re.compile(
    r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{4,8192}\.[A-Za-z0-9_-]{10,2048}"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<name>(?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:[^-]{1,20000}-----END (?P=name)-----|[A-Za-z0-9+/=\s\\:,.-]{0,20000})"
)
_ASSIGNED = re.compile(
    r"(?:api|access|auth|account|app|client|private|secret|signing|encryption|storage|session|bearer|refresh)"
    r"[\s_-]{0,2}(?:access[\s_-]{0,2})?(?:key|token|secret|id)|\bsecret\b|\btoken\b|credentials?",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"[\"']?(?:\s{0,4}(?:=>|:=|=|:|\bis\b)\s{0,4}|\s(?=[A-Za-z0-9+/_=.-]{20}))[\"']?(?:bearer\s)?"
    r"(?P<value>[A-Za-z0-9+/_.=~-]{12,512})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?:bearer|basic)\s+(?P<value>[A-Za-z0-9+/_.=~-]{16,2048})", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"x{4,}|\*{3}|\.\.\.|your|example|changeme|placeholder|redacted|dummy|none|null", re.I
)
_LEAST_DIGITS = (
    0.1  # a share; random letters and digits have 0.16, and one in a hundred keys less than this
)
_LEAST_BITS = 3.2  # bits a character: words of English have about 2.8, random hexadecimal 3.6


_MARKS = (
    *(
        "AKIA",
        "ASIA",
        "AGPA",
        "AROA",
        "AIDA",
        "ANPA",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
    ),
    *(
        "glpat-",
        "xox",
        "xapp-",
        "hooks.slack",
        "AIza",
        "ya29.",
        "k_live_",
        "k_test_",
        "whsec_",
        "sk-",
        "hf_",
    ),
    *("npm_", "pypi-", "SG.", "dop_v1_", "shpat_", "shpca_", "shppa_", "shpss_", "dapi", ":AA"),
)
_CALLED = ("key", "token", "secret", "credential", "id")
_BEARERS = ("bearer", "basic")


def find_secrets(text: str) -> Iterator[Hit]:
    """Find keys and tokens of known makers, JSON web tokens, private keys, and assigned random text."""
    for marks, pattern, score in (
        (_MARKS, _TOKENS, 0.97),
        (("eyJ",), _JWT, 0.95),
        (("PRIVATE KEY",), _PRIVATE_KEY, 0.98),
    ):
        if any(mark in text for mark in marks):
            for match in pattern.finditer(text):
                if not _PLACEHOLDER.search(match.group()[:200]):
                    yield Hit(match.start(), match.end(), score)
    lowered = text.lower()
    for match in _ASSIGNED.finditer(text) if any(word in lowered for word in _CALLED) else ():
        value = _VALUE.match(text, match.end())
        if value is not None and looks_random(value.group("value")):
            yield Hit(value.start("value"), value.end("value"), 0.8)
    for match in _BEARER.finditer(text) if any(word in lowered for word in _BEARERS) else ():
        if looks_random(match.group("value")):
            yield Hit(match.start("value"), match.end("value"), 0.8)


def looks_random(value: str) -> bool:
    """Return whether text is mixed as a key is: letters among many digits, and much entropy."""
    digits = sum(c.isdigit() for c in value)
    is_mixed = digits >= _LEAST_DIGITS * len(value) and any(c.isalpha() for c in value)
    return is_mixed and entropy_bits(value) >= _LEAST_BITS and not _PLACEHOLDER.search(value)


def entropy_bits(value: str) -> float:
    """Return the entropy of the characters of `value`, in bits a character."""
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


_CONNECTION = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,64}:(?P<value>[^\s/@]{1,128})@", re.I
)
_PASSWORD = re.compile(
    r"(?:password|passwd|passphrase|passcode|\bpwd|\bpass|kennwort|passwort|mot de passe|contrase[ñn]a)"
    r"[\"']?(?:\s?(?:=|:)\s?|\s(?:is|was|ist|est|es)\s)[\"']?(?P<value>[^\s\"'<>,;]{5,64})",
    re.IGNORECASE,
)


def find_passwords(text: str) -> Iterator[Hit]:
    """Find the password of a connection string, and what is called a password and looks like one."""
    for match in _CONNECTION.finditer(text) if "://" in text else ():
        if not _is_placeholder(match.group("value")):
            yield Hit(match.start("value"), match.end("value"), 0.99)
    lowered = text.lower()
    is_named = any(word in lowered for word in ("pass", "pwd", "kennw", "contrase"))
    for match in _PASSWORD.finditer(text) if is_named else ():
        value = match.group("value").rstrip(".!?)")
        has_mark = any(not c.isalpha() for c in value) and any(c.isalnum() for c in value)
        if len(value) >= 5 and has_mark and not _is_placeholder(value):
            start = match.start("value")
            yield Hit(start, start + len(value), 0.8)


def _is_placeholder(value: str) -> bool:
    return value[:1] in "${<%[(" or _PLACEHOLDER.search(value) is not None
