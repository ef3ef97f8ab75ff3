"""Change the text of a task file, and nothing else in it: comments, order and quotes stay.

ruamel reads and writes it back; what comes out is judged as a task file, and must differ in the one setting
alone. A file whose layout ruamel cannot keep is refused rather than changed in other places.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from freehold.core.errors import ConfigError, Where
from freehold.core.taskfile import TaskFile, parse_task_file

_WIDEST = 4096


def with_examples(text: str, names: Sequence[str], *, file: str = "task.yaml") -> str:
    """Return the text of a task file with `names` added to `data.examples`.

    Raises:
        ConfigError: it is no task file, or cannot be changed without changing more (DAT-087).
    """
    before = parse_task_file(text, file=file)
    examples = before.data.examples
    wanted = [examples] if isinstance(examples, str) else list(examples)
    new = [name for name in dict.fromkeys(names) if name not in wanted]
    if not new:
        return text
    wanted += new
    changed = _written(text, wanted)
    after = parse_task_file(changed, file=file)
    if after != _with(before, wanted) or _lost_lines(text, changed):
        raise ConfigError(
            "DAT-087",
            f"{file} is written in a way that cannot be kept when it is changed",
            where=Where(file=file),
            help=f"add the line yourself: data: {{examples: [{', '.join(wanted)}]}}",
        )
    return changed


def _with(task_file: TaskFile, examples: Sequence[str]) -> TaskFile:
    data = task_file.data.model_copy(update={"examples": tuple(examples)})
    return task_file.model_copy(update={"data": data})


def _written(text: str, examples: Sequence[str]) -> str:
    yaml = cast(Any, YAML(typ="rt", pure=True))  # ruamel's writer is not typed
    yaml.preserve_quotes = True
    yaml.width = _WIDEST
    offset = _list_offset(text)
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    loaded = yaml.load(StringIO(text))
    data: object = loaded["data"]
    if isinstance(data, CommentedMap):
        section = cast("dict[str, object]", data)
        section["examples"] = _sequence(section["examples"], examples)
    else:
        loaded["data"] = _sequence(data, examples)
    out = StringIO()
    yaml.dump(loaded, out)
    return out.getvalue()


def _sequence(old: object, examples: Sequence[str]) -> CommentedSeq:
    """Return the list to write: the one that is there with more at its end, else one on one line."""
    if isinstance(old, CommentedSeq):
        for name in examples[len(old) :]:
            cast(Any, old).append(name)
        return old
    made = cast(Any, CommentedSeq([old, *examples[1:]]))
    made.fa.set_flow_style()
    return made


def _list_offset(text: str) -> int:
    """Return how far the dashes of lists stand to the right of their key: 0 or 2."""
    lines = text.splitlines()
    for key, item in pairwise(lines):
        if key.rstrip().endswith(":") and item.lstrip().startswith("- "):
            return max(0, _indent(item) - _indent(key))
    return 2


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _lost_lines(before: str, after: str) -> bool:
    """Say whether more than the line that was meant, or its list, is written differently."""
    kept = set(after.splitlines())
    lost = [line for line in before.splitlines() if line not in kept]
    return len(lost) > 1
