"""What a command line is made of: flags and verbs. Named tuples, as help must be instant."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["switch", "text", "count", "share", "choice"]
Completes: TypeAlias = Literal[
    "nothing",
    "file",
    "folder",
    "id",
    "snapshot",
    "training",
    "rung",
    "model",
    "code",
    "example",
]


class Flag(NamedTuple):
    """One flag.

    `names` are its spellings, the long one last. `kind` says what value it takes: none, text, a
    count of at least 1, a count or a share, or one of `choices`. `is_optional` marks a value that
    may be left out. `completes` says what a shell may offer for the value.
    """

    names: tuple[str, ...]
    help: str
    kind: Kind = "switch"
    value: str = ""
    choices: tuple[str, ...] = ()
    is_optional: bool = False
    is_repeatable: bool = False
    completes: Completes = "nothing"

    @property
    def key(self) -> str:
        """The flag's name in an `Invocation`: the long spelling without dashes."""
        return self.names[-1].lstrip("-")


class Verb(NamedTuple):
    """One verb: what it takes, what it does, and how people type it.

    `name` may be two words (`train scratch`). `at_least` and `at_most` bound the arguments;
    `at_most` None is no bound. `examples` are command lines with what they do.
    """

    name: str
    arguments: str
    summary: str
    about: str
    examples: tuple[tuple[str, str], ...]
    flags: tuple[Flag, ...] = ()
    at_least: int = 0
    at_most: int | None = 0
    completes: Completes = "nothing"
