"""The two streams of a command: results on stdout, progress and messages on stderr.

A reader that went away (`| head`) is no error: the stream is closed quietly and work goes on.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO, TypeAlias, TypedDict

from freehold.cli.environment import Environment
from freehold.cli.parse import Invocation

if TYPE_CHECKING:
    from freehold.report.lines import Look

DisplayMode: TypeAlias = Literal["rich", "plain", "json", "none"]
WIDEST = 88
NARROWEST = 40


class Drawn(TypedDict):
    """How the drawings of the report room are rendered: their common keyword arguments."""

    width: int
    ascii: bool
    color: bool


class Console(NamedTuple):
    """Where a command writes, and how: `width` in columns, ASCII only, coloured or not."""

    stdout: TextIO
    stderr: TextIO
    width: int
    ascii: bool
    color: bool
    display: DisplayMode
    is_json: bool
    is_quiet: bool

    def data(self, text: str) -> None:
        """Print a result on stdout."""
        write(self.stdout, text if text.endswith("\n") else text + "\n")

    def say(self, text: str) -> None:
        """Print a message on stderr, unless `--quiet`."""
        if not self.is_quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """Print an error on stderr, always."""
        write(self.stderr, text + "\n")

    @property
    def drawn(self) -> Drawn:
        """How drawings are rendered here, as keyword arguments."""
        return Drawn(width=self.width, ascii=self.ascii, color=self.color)

    def look(self) -> Look:
        """Return how drawings are rendered here, as a value."""
        from freehold.report.lines import Look

        return Look(width=self.width, ascii=self.ascii, color=self.color)


def write(stream: TextIO, text: str) -> None:
    """Write and flush. If the reader went away, whatever follows goes nowhere.

    Characters that the stream's encoding does not have become `?`.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _lead_nowhere(stream)
    except OSError:
        _lead_nowhere(stream)
        raise


def _lead_nowhere(stream: TextIO) -> None:
    """Let what is buffered, and all that follows, vanish: Python flushes once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_console(invocation: Invocation, environment: Environment) -> Console:
    """Decide how to write, from the flags, the environment and the streams."""
    stdout, stderr = sys.stdout, sys.stderr
    encoding = (getattr(stdout, "encoding", None) or "ascii").lower().replace("-", "")
    has_color = (
        stdout.isatty()
        and stderr.isatty()
        and not (environment.no_color or environment.is_dumb_terminal)
        and not (invocation.has("no-color") or invocation.has("json"))
    )
    return Console(
        stdout=stdout,
        stderr=stderr,
        width=width_now(),
        ascii=encoding not in {"utf8", "utf16", "utf32", "gb18030"},
        color=has_color,
        display=choose_display(
            invocation.text("display"),
            is_terminal=stderr.isatty(),
            is_plain_place=environment.is_ci or environment.is_dumb_terminal,
            is_quiet=invocation.has("quiet"),
        ),
        is_json=invocation.has("json"),
        is_quiet=invocation.has("quiet"),
    )


def width_now() -> int:
    """Return the columns to draw in: those of the terminal that stderr or stdout is, 88 at most."""
    for stream in (sys.stderr, sys.stdout):
        try:
            columns = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            continue
        if columns > 0:
            return max(NARROWEST, min(columns, WIDEST))
    return WIDEST


def choose_display(
    wanted: str | None, *, is_terminal: bool, is_plain_place: bool, is_quiet: bool
) -> DisplayMode:
    """Return the display mode: what was asked for, else what the place can show."""
    if wanted == "rich" or wanted == "plain" or wanted == "json" or wanted == "none":
        return wanted
    if is_quiet:
        return "none"
    return "rich" if is_terminal and not is_plain_place else "plain"
