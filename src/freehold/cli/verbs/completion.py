"""`freehold --install-completion`: put the shell's script where the shell looks for it."""

from __future__ import annotations

from pathlib import Path

from freehold.cli.completion import HINTS, PLACES, SCRIPTS
from freehold.cli.session import Session
from freehold.core.errors import UsageError


def run(session: Session) -> int:
    """Write the script, or with --dry-run print it."""
    shell = session.invocation.text("install-completion") or session.environment.shell
    if shell not in SCRIPTS:
        raise UsageError(
            "USE-006",
            f"there is no completion for the shell {shell!r}",
            help="freehold --install-completion bash    (or zsh, or fish)",
        )
    if session.invocation.has("dry-run"):
        session.console.data(SCRIPTS[shell])
        return 0
    place = Path.home() / PLACES[shell]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(SCRIPTS[shell], encoding="utf-8")
    session.console.data(str(place))
    session.console.say(HINTS[shell].format(place=place))
    return 0
