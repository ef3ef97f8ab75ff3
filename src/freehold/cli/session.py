"""One command at work: what was typed, where to write, and the project it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from freehold.cli import paths
from freehold.cli.console import Console
from freehold.cli.environment import Environment
from freehold.cli.parse import Invocation, typed_again
from freehold.cli.settings import (
    TASK_FILE,
    Resolved,
    Setting,
    endpoints_of_user_file,
    resolve_file,
    resolve_without_file,
    settings_given,
    settings_of_environment,
    settings_of_user_file,
    with_endpoint,
)
from freehold.core.errors import UsageError
from freehold.core.sections import UserEndpoint
from freehold.core.taskfile import TaskFile


@dataclass(frozen=True)
class Session:
    """What a verb is given. The project is the present folder."""

    invocation: Invocation
    console: Console
    environment: Environment

    @property
    def project(self) -> Path:
        """The project folder."""
        return Path.cwd()

    @property
    def has_task_file(self) -> bool:
        """Whether the project has a task file."""
        return (self.project / TASK_FILE).exists()

    @property
    def again(self) -> str:
        """The command line as it can be typed again."""
        return typed_again(self.invocation.words)

    @property
    def is_online(self) -> bool:
        """Whether downloads are allowed."""
        return self.invocation.has("online") and not self.invocation.has("offline")

    def settings(self) -> tuple[tuple[Setting, ...], tuple[Setting, ...]]:
        """Return the layers below the task file and those above it, weakest first."""
        below = settings_of_user_file(paths.user_file())
        above = (
            *settings_of_environment(self.environment.settings),
            *settings_given(self.invocation.texts("set")),
        )
        return below, above

    def task(self, data: str | None) -> Resolved:
        """Return the task of task.yaml, or where there is none, defaults for the data that was named.

        Data that was named takes the place of `data.examples` of task.yaml.

        Raises:
            UsageError: USE-003 when there is neither.
            ConfigError: problems of task.yaml or of the settings around it.
        """
        below, above = self.settings()
        if self.has_task_file:
            if data is not None:
                above = (*above, Setting("data.examples", data, "argument"))
            return self._resolved(resolve_file(self.project / TASK_FILE, below=below, above=above))
        if data is None:
            raise UsageError(
                "USE-003",
                f"there is no {TASK_FILE} in {self.project}, and no data file was named",
                help="freehold climb examples.jsonl\nor: freehold init --example ticket-routing",
            )
        return self.defaults(data)

    def defaults(self, data: str) -> Resolved:
        """Return the task that defaults and settings make of a data file, whatever task.yaml says."""
        from freehold.ladder.prepare import default_task_file

        below, above = self.settings()
        resolved = resolve_without_file(default_task_file(data), below=below, above=above)
        return self._resolved(resolved)

    def endpoints(self, task_file: TaskFile | None = None) -> dict[str, UserEndpoint]:
        """Return the endpoints that may be asked: those of the user file, and those of the task beside them.

        One name is one endpoint: the user's own entry stands, as its key goes to no place that a task names.
        `task_file` left out is that of the project, where there is one.

        Raises:
            ConfigError: problems of either file.
        """
        if task_file is None and self.has_task_file:
            below, above = self.settings()
            task_file = resolve_file(self.project / TASK_FILE, below=below, above=above).task_file
        of_task = task_file.models.endpoints if task_file is not None else {}
        known = {name: UserEndpoint(**spec.model_dump()) for name, spec in of_task.items()}
        return known | endpoints_of_user_file(paths.user_file())

    def _resolved(self, resolved: Resolved) -> Resolved:
        return with_endpoint(resolved, self.endpoints(resolved.task_file))

    def clock(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)
