"""Ctrl-C: the first asks the work to stop where everything is on disk, the second stops at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self


class Pause:
    """While entered, the first ^C only sets a wish; `obey` at a safe place fulfils it.

    Raises:
        KeyboardInterrupt: from `obey` after the first ^C, and anywhere on the second.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._is_asked = False
        self._before: object = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if callable(self._before) or isinstance(self._before, int):
            signal.signal(signal.SIGINT, self._before)

    @property
    def is_asked(self) -> bool:
        """Whether ^C was pressed."""
        return self._is_asked

    def obey(self) -> None:
        """Stop here if ^C was pressed: what was finished is on disk."""
        if self._is_asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_asked = True
        self._say("Pausing when this batch is on disk. ^C again stops at once.")
