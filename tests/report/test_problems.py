import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import Problem, Where
from freehold.report.problems import problem_text, problems_text, warning_lines

UNKNOWN_KEY = Problem(
    code="CFG-001",
    message="unknown key `data.documnts`",
    where=Where(file="task.yaml", line=4, column=3, text="  documnts: docs/", width=8),
    help="did you mean `documents`?",
)
TOO_HIGH = Problem(
    code="CFG-004",
    message="`bar.quality` is 85; it must be at most 1",
    where=Where(file="task.yaml", line=7, column=12, text="  quality: 85", width=2),
    help="write 0.85 for 85 %",
)


def test_errors_of_a_task_file_are_the_drawing() -> None:
    # experience.md 5.3
    assert (
        problems_text([UNKNOWN_KEY, TOO_HIGH], exit_code=2)
        == """\
error[CFG-001]: unknown key `data.documnts`
  --> task.yaml:4:3
4 |   documnts: docs/
  |   ^^^^^^^^
help: did you mean `documents`?
error[CFG-004]: `bar.quality` is 85; it must be at most 1
  --> task.yaml:7:12
7 |   quality: 85
  |            ^^
help: write 0.85 for 85 %
2 problems in task.yaml                                                           exit 2"""
    )


def test_an_error_without_a_place_is_the_drawing() -> None:
    # experience.md 6.7
    problem = Problem(
        code="GPU-003",
        message="lora needs ≈ 27 GiB, 22 GiB free",
        help="freehold climb -s ladder.lora.batch=2          ≈ 19 GiB, +14 % time",
    )
    assert (
        problem_text(problem).splitlines()[0] == "error[GPU-003]: lora needs ≈ 27 GiB, 22 GiB free"
    )
    assert problem_text(problem).splitlines()[1].startswith("help: freehold climb -s")


def test_an_error_in_the_data_names_the_row_and_its_causes() -> None:
    problem = Problem(
        code="DAT-003",
        message="a row has no target",
        where=Where(file="examples.jsonl", row=1017),
        cause=("the key `label` is missing",),
    )
    assert problem_text(problem).splitlines() == [
        "error[DAT-003]: a row has no target",
        "  --> examples.jsonl, row 1,017",
        "cause: the key `label` is missing",
    ]


def test_a_warning_stands_with_its_way_out_below() -> None:
    warning = Problem(
        code="DAT-014",
        level="warning",
        message="31 test rows paraphrase a train row (cosine ≥ 0.94)",
        help="freehold check --fix",
    )
    assert warning_lines([warning]).splitlines() == [
        "! DAT-014  31 test rows paraphrase a train row (cosine ≥ 0.94)",
        "           help: freehold check --fix",
    ]


def test_tabs_do_not_move_the_caret() -> None:
    where = Where(file="task.yaml", line=12, column=2, text="\tbar: 3", width=3)
    rows = problem_text(Problem(code="CFG-002", message="a tab", where=where)).splitlines()
    assert rows[2].index("bar") == rows[3].index("^^^")


@given(
    text=st.text(max_size=600),
    column=st.integers(-3, 700),
    width=st.integers(-3, 900),
    line=st.integers(0, 10**6),
)
def test_any_place_is_drawn_without_control_characters(
    text: str, column: int, width: int, line: int
) -> None:
    where = Where(file="task.yaml", line=line, column=column, text=text, width=width)
    drawn = problem_text(Problem(code="CFG-002", message=text or "m", where=where, help=text))
    assert all(c == "\n" or not ("\x00" <= c < " " or "\x7f" <= c <= "\x9f") for c in drawn)


@pytest.mark.parametrize("color", [False, True])
def test_several_files_are_counted_without_naming_one(color: bool) -> None:
    other = TOO_HIGH.model_copy(update={"where": Where(file="other.yaml")})
    drawn = problems_text([UNKNOWN_KEY, other], color=color)
    assert "2 problems" in drawn.splitlines()[-1]
    assert "task.yaml" not in drawn.splitlines()[-1]
