"""House rules that no linter states."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import freehold
from freehold.core.codes import CODES

SOURCE = Path(freehold.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
HEAVY = ("torch", "transformers", "peft", "pandas", "sklearn", "sentence_transformers", "scipy")


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import freehold", "import freehold.core.taskfile", "import freehold.store.store"],
)
def test_the_vocabulary_loads_no_ml_stack(statement: str) -> None:
    assert not modules_after(statement) & set(HEAVY)


def test_there_is_no_utils_and_no_helpers() -> None:
    names = {path.stem for path in FILES}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def codes_raised() -> set[str]:
    found: set[str] = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                if len(text) == 7 and text[3] == "-" and text[:3].isupper() and text[4:].isdigit():
                    found.add(text)
    return found - {"SHA-256"}


def test_every_code_that_is_used_has_its_page_and_every_page_its_use() -> None:
    assert codes_raised() == set(CODES)


def test_no_file_names_a_workplace_or_a_package_host() -> None:
    hosts = ("pypi" + ".org", "files.python" + "hosted", "/wo" + "rk/")
    for path in FILES:
        text = path.read_text()
        assert not [host for host in hosts if host in text], path
