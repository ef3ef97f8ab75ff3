"""What a user is told when something is wrong.

    FreeholdError            a mistake that its reader can mend: exit code 2, no traceback
    ├── UsageError           a flag, a verb or an id that does not exist
    ├── ConfigError          task.yaml or the user file
    ├── DataError            the examples or documents
    ├── ModelError           a model folder, an adapter, an embedder, an endpoint
    └── MachineError         disk, memory, an accelerator

Every error names the thing, the value and the way out. Anything else that is raised is a bug and
keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from freehold.core.record import Record


class Where(Record):
    """A place: a file with line and column (from 1), or the row number of a data file (from 1)."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    row: int | None = None
    text: str | None = None
    width: int = 1


class Problem(Record):
    """One thing that is wrong, with the way out."""

    code: str
    message: str
    level: Literal["error", "warning"] = "error"
    where: Where | None = None
    help: str = ""
    cause: tuple[str, ...] = ()


class FreeholdError(Exception):
    """A user's mistake. It carries one problem or several, and is printed without a traceback.

    Args:
        code: a key of `freehold.core.codes.CODES`, such as `DAT-003`.
        message: what is wrong, naming the thing and its value.
        help: one runnable command or one thing to do.
        where: the file and the line, or the row.
        cause: the chain of reasons below, outermost first.
    """

    problems: tuple[Problem, ...]

    def __init__(
        self,
        code: str,
        message: str,
        *,
        help: str = "",
        where: Where | None = None,
        cause: Sequence[str] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        problem = Problem(code=code, message=message, help=help, where=where, cause=tuple(cause))
        self.problems = (problem,)

    @classmethod
    def several(cls, problems: Sequence[Problem]) -> Self:
        """Return one error that carries all `problems`, in their order.

        Raises:
            ValueError: there is no problem.
        """
        if not problems:
            raise ValueError("an error needs at least one problem")
        first = problems[0]
        error = cls(first.code, first.message, help=first.help, where=first.where)
        error.problems = tuple(problems)
        return error


class UsageError(FreeholdError):
    """A flag, a verb or an id that does not exist."""


class ConfigError(FreeholdError):
    """The task file or the user file is wrong."""


class DataError(FreeholdError):
    """The examples or the documents cannot be used."""


class ModelError(FreeholdError):
    """A model folder, an adapter, an embedder or an endpoint cannot be used."""


class MachineError(FreeholdError):
    """The machine lacks something: disk, memory, an accelerator."""
