"""`freehold train scratch FOLDER`: a small model from nothing, with its loss curve."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from freehold.cli import curve
from freehold.cli.console import Console
from freehold.cli.curve import TrainProgress
from freehold.cli.display import open_live, write_past_buffers
from freehold.cli.interrupt import Pause
from freehold.cli.session import Session
from freehold.cli.settings import Setting, settings_given
from freehold.core import strict_yaml
from freehold.core.errors import ConfigError, DataError, Problem, Where
from freehold.report.lines import to_ascii

if TYPE_CHECKING:
    from freehold.train.scratch import ScratchEvent, ScratchSpec

INTERRUPTED = 130
CURVE_FILE = "curve.jsonl"
#: Below this size the minute that compiling takes is not won back.
WORTH_COMPILING_TOKENS = 2_000_000


def run(session: Session) -> int:
    """Train, or go on training, and print the folder of the model."""
    from freehold.train.scratch import scratch

    folder = Path(session.invocation.arguments[0])
    texts = tuple(Path(text) for text in session.invocation.texts("text"))
    spec = read_spec(settings_given(session.invocation.texts("set")))
    _refuse_missing(texts)
    if session.invocation.has("dry-run"):
        session.console.data(json.dumps(spec.to_json(), indent=2))
        return 0
    session.console.say(f"{folder} · {spec.tokens:,} tokens · ^C pauses, the same command resumes")
    watch = Watch(session.console, TrainProgress(total=spec.tokens, losses=earlier_losses(folder)))
    pause = Pause(watch.notice)

    def on_event(event: ScratchEvent) -> None:
        watch.show(event)
        pause.obey()

    try:
        with watch, pause:
            model = scratch(
                spec,
                folder=folder,
                texts=texts,
                on_event=on_event,
                compiled=spec.tokens >= WORTH_COMPILING_TOKENS,
            )
    except KeyboardInterrupt:
        done = f"{watch.progress.done:,}/{spec.tokens:,} tokens"
        session.console.complain(f"Paused after {done}. Nothing is lost. Resume: {session.again}")
        return INTERRUPTED
    _finish(session, model, watch.progress)
    return 0


def earlier_losses(folder: Path) -> tuple[float, ...]:
    """Return the losses of the curve so far, as a run before wrote them down."""
    try:
        lines = (folder / CURVE_FILE).read_text(encoding="utf-8").splitlines()
        return tuple(float(json.loads(line)["loss"]) for line in lines)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def read_spec(settings: tuple[Setting, ...]) -> ScratchSpec:
    """Return the spec with `-s` settings laid over its defaults.

    Raises:
        ConfigError: unknown keys and impossible values, all of them.
    """
    from freehold.train.scratch import ScratchSpec

    values: dict[str, JsonValue] = {setting.key: setting.value for setting in settings}
    try:
        return ScratchSpec.model_validate_json(json.dumps(values))
    except ValidationError as error:
        known = strict_yaml.field_names(ScratchSpec, ())
        problems: list[Problem] = []
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0]) if detail["loc"] else ""
            is_unknown = detail["type"] == "extra_forbidden"
            told = str(detail["msg"]).removeprefix("Value error, ").lower()
            message = f"`{name}` is {values.get(name)!r}: {told}" if name else told
            problems.append(
                Problem(
                    code="CFG-001" if is_unknown else "CFG-004",
                    message=f"unknown setting `{name}`" if is_unknown else message,
                    where=Where(file=f"-s {name}" if name else "-s"),
                    help=strict_yaml.suggestion(name, known) if is_unknown else "see --dry-run",
                )
            )
        raise ConfigError.several(problems) from error


def _refuse_missing(texts: tuple[Path, ...]) -> None:
    for text in texts:
        if not text.is_file():
            raise DataError(
                "DAT-001", f"there is no file {text}", help="give --text a file that exists"
            )


class Watch:
    """Shows a training in the console's display mode, and remembers its curve."""

    def __init__(self, console: Console, progress: TrainProgress) -> None:
        self.progress = progress
        self._console = console
        self._notice = ""
        self._tenth = -1
        self._at_seconds = 0.0
        self._live = open_live(console, self._draw) if console.display == "rich" else None

    def __enter__(self) -> Watch:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: ScratchEvent) -> None:
        """Take one event of the training."""
        now = time.monotonic()
        self.progress = self.progress.advance(
            event.tokens, loss=event.loss, learning_rate=event.learning_rate, at_seconds=now
        )
        if self._console.display == "json":
            shown = {"event": "train_progress", "tokens": event.tokens, "loss": event.loss}
            self._console.complain(json.dumps(shown))
        elif self._console.display == "plain" and self._is_due(now):
            text = curve.plain_line(self.progress)
            self._console.complain(to_ascii(text) if self._console.ascii else text)

    def notice(self, text: str) -> None:
        """Show a message at once; may be called from a signal handler."""
        self._notice = text
        if self._live is None:
            write_past_buffers(self._console.stderr, text + "\n")

    def _is_due(self, now: float) -> bool:
        tenth = int(10 * self.progress.share)
        if tenth <= self._tenth and now - self._at_seconds < 30:
            return False
        self._tenth, self._at_seconds = tenth, now
        return True

    def _draw(self) -> str:
        return f"{curve.drawing(self.progress, self._console.look())}\n{self._notice}".rstrip()


def _finish(session: Session, model: Path, progress: TrainProgress) -> None:
    loss = progress.losses[-1] if progress.losses else None
    if session.console.is_json:
        session.console.data(
            json.dumps({"model": str(model), "tokens": progress.done, "loss": loss})
        )
        return
    look = session.console.look()
    if progress.losses:
        session.console.data(curve.drawing(progress, look))
    session.console.data(f"Model    {model}")
    session.console.data(f"next     freehold climb examples.jsonl -s model={model}")
