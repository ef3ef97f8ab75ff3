"""`freehold init`: look at the data, write the task file; or copy a bundled example."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from freehold.cli.grammar import EXAMPLES
from freehold.cli.parse import nearest
from freehold.cli.session import Session
from freehold.core.errors import UsageError


def run(session: Session) -> int:
    """Write a task: of a bundled example, or of the data file that was named."""
    example = session.invocation.text("example")
    data = session.invocation.argument
    if example is not None and data is not None:
        raise UsageError(
            "USE-006",
            "`freehold init` takes a file or --example, not both",
            help=f"freehold init {data}",
        )
    if example is not None:
        return _copy_example(session, example)
    if data is None:
        raise UsageError(
            "USE-006",
            "`freehold init` needs a data file or an example",
            help="freehold init data/examples.jsonl\nor: freehold init --example ticket-routing",
        )
    from freehold.cli.verbs.init_file import write_task

    return write_task(session, data)


def _copy_example(session: Session, name: str) -> int:
    if name not in EXAMPLES:
        meant = nearest(name, EXAMPLES) or EXAMPLES[0]
        raise UsageError(
            "USE-006",
            f"there is no bundled example {name!r}; there are: {', '.join(EXAMPLES)}",
            help=f"freehold init --example {meant}",
        )
    target = session.project / name
    if target.exists():
        raise UsageError(
            "USE-007",
            f"{target} is there already, and is left as it is",
            help=f"freehold climb -C {name}",
        )
    bundled = resources.files("freehold.data").joinpath("example", name)
    with resources.as_file(bundled) as source:
        names = _copy(source, target)
    session.console.data(f"Wrote {name}/: {', '.join(names)}")
    session.console.data(f"next  cd {name} && freehold climb")
    return 0


def _copy(source: Path, target: Path) -> tuple[str, ...]:
    """Copy a folder as a whole or not at all, and return the names of its files."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(source, part, ignore=shutil.ignore_patterns("__pycache__", ".freehold"))
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    files = sorted(path for path in target.rglob("*") if path.is_file())
    return tuple(str(path.relative_to(target)) for path in files)
