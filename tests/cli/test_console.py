"""Where a command writes, and how."""

import io

import pytest

from freehold.cli.console import choose_display, write
from freehold.cli.environment import read_environment


@pytest.mark.parametrize(
    ("wanted", "is_terminal", "is_plain_place", "is_quiet", "chosen"),
    [
        (None, True, False, False, "rich"),
        (None, False, False, False, "plain"),
        (None, True, True, False, "plain"),
        (None, True, False, True, "none"),
        ("json", True, False, False, "json"),
        ("rich", False, True, True, "rich"),
        ("none", True, False, False, "none"),
    ],
)
def test_the_display_follows_the_flag_then_the_place(
    wanted: str | None, is_terminal: bool, is_plain_place: bool, is_quiet: bool, chosen: str
) -> None:
    assert (
        choose_display(
            wanted, is_terminal=is_terminal, is_plain_place=is_plain_place, is_quiet=is_quiet
        )
        == chosen
    )


def test_what_an_encoding_lacks_becomes_a_question_mark() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write(stream, "★ 0.8 ≥ 0.7\n")
    assert raw.getvalue() == b"? 0.8 ? 0.7\n"


@pytest.mark.parametrize(
    ("variables", "is_ci"), [({}, False), ({"CI": "true"}, True), ({"CI": "false"}, False)]
)
def test_ci_is_recognised(variables: dict[str, str], is_ci: bool) -> None:
    assert read_environment(variables).is_ci is is_ci


def test_settings_of_the_environment_have_dotted_keys() -> None:
    environment = read_environment({"FREEHOLD_BAR__SECONDS_P95": "2", "NO_COLOR": "1"})
    assert environment.settings == {"bar.seconds_p95": ("2", "FREEHOLD_BAR__SECONDS_P95")}
    assert environment.no_color
