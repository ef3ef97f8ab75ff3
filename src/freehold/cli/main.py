"""The entry of `freehold`: understand the words, call one verb, return its exit code.

Help, version and completion import nothing heavy; everything else is imported by the verb that
needs it, after the environment of the libraries is set.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from freehold.cli.console import Console, open_console, write
from freehold.cli.environment import Environment, prepare_libraries, read_environment
from freehold.cli.grammar import VERB_BY_NAME
from freehold.cli.parse import Invocation, Misused, parse, typed_again

if TYPE_CHECKING:
    from freehold.cli.session import Session

OK = 0
UNEXPECTED = 1
WRONG_INPUT = 2
INTERRUPTED = 130
MODULES: Mapping[str, str] = {"": "state", "eval": "evaluate"}
"""The module of a verb in `cli/verbs`, where its name is another: `data add` is `data_add`."""
TOGETHER = "train"
"""The verb that several processes do together."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = tuple(sys.argv[1:] if argv is None else argv)
    if words[:1] == ("__complete",):
        from freehold.cli.completion import complete

        return complete(words[1:])
    environment = read_environment(os.environ)
    try:
        invocation = parse(words)
    except Misused as error:
        console = open_console(_as_far_as_known(words), environment)
        return _explain(error, console, words)
    console = open_console(invocation, environment)
    try:
        return _answer(invocation, console, environment)
    except KeyboardInterrupt:
        return _interrupted(console, words)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the last place that can tell the user
        return _explain(error, console, words)


def _as_far_as_known(words: Sequence[str]) -> Invocation:
    """Return an invocation that only says whether an error has to be JSON."""
    flags = {"json": ("",)} if "--json" in words else {}
    return Invocation("", (), flags, tuple(words))


def _answer(invocation: Invocation, console: Console, environment: Environment) -> int:
    if invocation.has("help") or invocation.has("version"):
        console.data(_short_page(invocation))
        return OK
    directory = invocation.text("directory")
    if directory is not None:
        _enter(directory)
    prepare_libraries(online=invocation.has("online") and not invocation.has("offline"))
    from freehold.cli.logs import configure_logging

    configure_logging(console.complain, is_verbose=invocation.has("verbose"))
    from freehold.cli.session import Session

    return _run(Session(invocation, console, environment))


def _short_page(invocation: Invocation) -> str:
    if invocation.has("version") and not invocation.has("help"):
        from freehold import __version__

        return f"freehold {__version__}"
    from freehold.cli.helptext import top_help, verb_help

    verb = VERB_BY_NAME.get(invocation.verb)
    return top_help() if verb is None else verb_help(verb)


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise Misused(
            "USE-006",
            f"`-C {directory}`: {error.strerror}",
            help="give a folder that exists",
        ) from error


def _run(session: Session) -> int:
    """Call the verb. Each is imported here and only here."""
    if session.environment.process_count > 1 and session.invocation.verb != TOGETHER:
        return _refuse_copies(session)
    if session.invocation.has("install-completion"):
        from freehold.cli.verbs.completion import run as install

        return install(session)
    name = session.invocation.verb
    module = import_module(f"freehold.cli.verbs.{MODULES.get(name, name.replace(' ', '_'))}")
    run: Callable[[Session], int] = module.run
    return run(session)


def _refuse_copies(session: Session) -> int:
    """Refuse to do the same work in every process; one of them says so.

    Raises:
        UsageError: this is the first process.
    """
    from freehold.core.errors import UsageError

    if session.environment.rank > 0:
        return OK
    verb, count = session.invocation.verb, session.environment.process_count
    raise UsageError(
        "USE-009",
        f"`freehold {verb}` was started in {count} processes, and each of them would do all of its work",
        help=f"torchrun --nproc-per-node {count} -m freehold train lora\nthen, in one process: freehold {verb}",
    )


def _interrupted(console: Console, words: Sequence[str]) -> int:
    write(console.stderr, f"Stopped. Nothing is lost. Again: {typed_again(words)}\n")
    return INTERRUPTED


def _explain(error: BaseException, console: Console, words: Sequence[str]) -> int:
    """Print what went wrong, and return the exit code: 2 where the user can mend it, else 1."""
    from freehold.cli.mishap import tell

    return tell(error, console, words)
