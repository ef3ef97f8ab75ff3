"""The end of a command that failed: an error drawn for its reader, or a saved report of a bug."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from freehold.cli import faults, paths
from freehold.cli.console import Console
from freehold.cli.parse import typed_again
from freehold.core.errors import Problem
from freehold.report.problems import problems_text


def tell(error: BaseException, console: Console, words: Sequence[str]) -> int:
    """Print `error` and return the exit code: 2 where the reader can mend it, else 1."""
    known = faults.as_user_error(error, again=typed_again(words))
    problems = known.problems if known is not None else (_bug(error, words),)
    code = 2 if known is not None else 1
    if console.is_json:
        console.data(json.dumps(faults.error_json(problems), ensure_ascii=False))
    else:
        console.complain(problems_text(problems, exit_code=code, **console.drawn))
    return code


def _bug(error: BaseException, words: Sequence[str]) -> Problem:
    at = datetime.now(UTC)
    text = faults.bug_report(error, words=words, at=at)
    path = faults.save_bug_report(text, paths.mishap_folder(Path.cwd()), at=at)
    place = f"the traceback is in {path}" if path else "the traceback stands above"
    return Problem(
        code=faults.BUG,
        message=f"Freehold met something unexpected: {type(error).__name__}: {error}",
        help=f"{place}; it was not sent anywhere. What was finished is on disk",
    )
