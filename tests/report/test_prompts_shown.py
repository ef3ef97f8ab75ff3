"""What every rung asks, in the terminal."""

from freehold.report.prompts import OnePrompt, prompts_shown


def one(rung: str, text: str, digest: str = "a" * 64) -> OnePrompt:
    turns = (("system", "Say  it."), ("user", text))
    return OnePrompt(
        rung=rung, state="asked", note="k=4", turns=turns, text=text, sha256=digest, tokens=9
    )


def test_spaces_and_lines_stay_and_what_drives_a_terminal_is_written_out() -> None:
    shown = prompts_shown([one("few_shot", "two  spaces\nand \x1b[31m red\u202e")])
    assert "two  spaces" in shown
    assert "Say  it." in shown
    assert "\x1b" not in shown
    assert "\\x1b[31m red\\u202e" in shown


def test_the_same_text_is_shown_once_and_rungs_without_one_say_why() -> None:
    rungs = [
        OnePrompt(rung="baseline", state="no model"),
        one("zero_shot", "x"),
        one("structured", "x"),
        OnePrompt(rung="lora", state="skipped", note="stop reached"),
    ]
    shown = prompts_shown(rungs, ascii=True)
    assert "baseline  - asks no model" in shown
    assert "the same text as zero_shot" in shown
    assert "skipped: stop reached" in shown
    assert shown.isascii()
