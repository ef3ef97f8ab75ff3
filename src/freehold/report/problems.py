"""Errors and warnings as they are printed: what, where with a caret, the cause, and the way out."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.core.errors import Problem, Where
from freehold.report import numbers
from freehold.report.lines import Line, Role, Span, clean, line, look_of, render, spread, wrap

_LONGEST_LINE = 400


def problem_text(
    problem: Problem, *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return one problem as text: `error[CFG-001]: ...`, the place with its caret, cause, help."""
    look = look_of(width, ascii=ascii, color=color)
    return render(_problem(problem), look)


def problems_text(
    problems: Sequence[Problem],
    *,
    exit_code: int | None = None,
    width: int = 88,
    ascii: bool = False,
    color: bool = False,
) -> str:
    """Return all problems in their order; two or more are counted in a last line.

    The last line names the file where all problems share one, and the exit code where it is given.
    """
    look = look_of(width, ascii=ascii, color=color)
    lines = [row for problem in problems for row in _problem(problem)]
    if len(problems) > 1:
        files = {p.where.file for p in problems if p.where is not None and p.where.file}
        place = f" in {clean(files.pop())}" if len(files) == 1 else ""
        left = line(Span(f"{numbers.plural(len(problems), 'problem')}{place}", "strong"))
        right = line(f"exit {exit_code}") if exit_code is not None else line()
        lines.extend(spread(left, right, look.width) if right else [left])
    return render(lines, look)


def warning_lines(
    problems: Sequence[Problem], *, width: int = 88, ascii: bool = False, color: bool = False
) -> str:
    """Return findings as `check` lists them: `! DAT-014  ...` with the way out below."""
    look = look_of(width, ascii=ascii, color=color)
    lines: list[Line] = []
    for problem in problems:
        mark, role = _mark(problem)
        head = f"{mark} {problem.code}  "
        pad = " " * len(head)
        wrapped = wrap(clean(problem.message), look.width - len(head))
        lines.append(line(Span(head, role), wrapped[0]))
        lines.extend(line(pad + more) for more in wrapped[1:])
        if problem.help:
            first, *others = wrap(clean(problem.help), look.width - len(pad) - 6)
            lines.append(line(pad, Span("help: ", "strong"), first))
            lines.extend(line(pad + "      " + other) for other in others)
    return render(lines, look)


def _mark(problem: Problem) -> tuple[str, Role]:
    return ("✗", "error") if problem.level == "error" else ("!", "warning")


def _problem(problem: Problem) -> list[Line]:
    role: Role = "error" if problem.level == "error" else "warning"
    lines: list[Line] = [
        line(Span(f"{problem.level}[{problem.code}]", role), Span(f": {clean(problem.message)}"))
    ]
    if problem.where is not None:
        lines.extend(_place(problem.where, role))
    lines.extend(line(Span("cause: ", "strong"), clean(reason)) for reason in problem.cause)
    if problem.help:
        first, *others = problem.help.strip().splitlines() or [""]
        lines.append(line(Span("help: ", "strong"), clean(first)))
        lines.extend(line("      " + clean(other)) for other in others)
    return lines


def _place(where: Where, role: Role) -> list[Line]:
    place = _place_text(where)
    lines: list[Line] = [line(f"  --> {place}")] if place else []
    if where.text is None or where.line is None:
        return lines
    gutter = str(where.line)
    text = where.text.rstrip("\r\n").replace("\t", " ")
    printable = "".join(character if character.isprintable() else " " for character in text)
    lines.append(line(f"{gutter} | {printable[:_LONGEST_LINE]}"))
    column = (where.column or 1) - 1
    if where.column is not None and column <= min(len(printable), _LONGEST_LINE):
        carets = "^" * max(1, min(where.width, max(len(printable), column + 1) - column))
        lines.append(line(" " * len(gutter) + " | " + " " * column, Span(carets, role)))
    return lines


def _place_text(where: Where) -> str:
    parts = [clean(where.file)] if where.file else []
    if where.line is not None:
        parts.append(str(where.line))
        if where.column is not None:
            parts.append(str(where.column))
    place = ":".join(parts)
    if where.row is not None:
        row = f"row {numbers.count(where.row)}"
        place = f"{place}, {row}" if place else row
    return place
