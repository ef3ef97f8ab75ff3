"""What was raised becomes an error for its reader, or a saved report without data."""

import errno
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freehold.cli.faults import (
    as_user_error,
    bug_report,
    error_json,
    save_bug_report,
    without_data,
)
from freehold.core.codes import CODES
from freehold.core.errors import FreeholdError, Problem, Where

AT = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "MAC-001"),
        (errno.EDQUOT, "MAC-001"),
        (errno.EFBIG, "MAC-001"),
        (errno.EACCES, "MAC-006"),
        (errno.EROFS, "MAC-006"),
    ],
)
def test_a_full_or_forbidden_disk_is_an_error_with_a_way_out(number: int, code: str) -> None:
    error = as_user_error(OSError(number, "no", "reports/c1.html"), again="freehold climb")
    assert error is not None
    problem = error.problems[0]
    assert problem.code == code
    assert "reports/c1.html" in problem.message
    assert problem.help
    assert code in CODES


def test_a_full_disk_under_sqlite_is_the_same_error(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "small.db")
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()
    error = as_user_error(caught.value, again="freehold climb")
    assert error is not None
    assert error.problems[0].code == "MAC-001"


def test_a_bug_stays_a_bug() -> None:
    assert as_user_error(KeyError("x"), again="freehold climb") is None
    assert as_user_error(OSError(errno.EINVAL, "odd"), again="freehold climb") is None


def test_a_bug_report_has_versions_and_traceback_but_no_questions_of_the_user() -> None:
    try:
        raise ValueError("odd shape")
    except ValueError as error:
        text = bug_report(error, words=["eval", "c1", "-i", "my secret", "--expect=x"], at=AT)
    assert "Traceback" in text
    assert "odd shape" in text
    assert "python" in text
    assert "library   pydantic 2" in text
    assert "my secret" not in text
    assert "eval c1 -i … --expect=…" in text
    assert "not sent" in text


def test_words_around_data_are_kept() -> None:
    assert without_data(["climb", "-n", "5"]) == ("climb", "-n", "5")


def test_a_report_that_cannot_be_saved_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert save_bug_report("the text", blocked, at=AT) is None
    assert capsys.readouterr().err == "the text"
    saved = save_bug_report("the text", tmp_path / "new" / "folder", at=AT)
    assert saved is not None
    assert saved.read_text() == "the text"


def test_the_error_shape_holds_every_problem() -> None:
    first = Problem(code="CFG-001", message="unknown", where=Where(file="task.yaml", line=4))
    second = Problem(code="CFG-004", message="too big", help="write less", cause=("because",))
    shape = error_json(FreeholdError.several([first, second]).problems)
    assert shape == {
        "error": {
            "code": "CFG-001",
            "message": "unknown",
            "where": {"file": "task.yaml", "line": 4, "column": None, "row": None},
            "cause": [],
            "help": "",
            "also": [
                {
                    "code": "CFG-004",
                    "message": "too big",
                    "where": None,
                    "cause": ["because"],
                    "help": "write less",
                }
            ],
        }
    }
    assert "also" not in str(error_json([first]))
