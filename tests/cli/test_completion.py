"""What shells offer, from the table of verbs and from the ledger of a real project."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freehold.cli.completion import PLACES, SCRIPTS, candidates
from freehold.store.store import Store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with Store.open(tmp_path, clock=lambda: datetime(2026, 11, 22, tzinfo=UTC)) as store:
        store.handle("c", "first")
        store.handle("c", "second")
        store.handle("t", "a training")
        store.handle("s", "a snapshot")
        store.handle("s", "another snapshot")
    return tmp_path


def test_verbs_are_offered_first(tmp_path: Path) -> None:
    expected = ("init", "check", "climb", "report", "eval", "export", "train", "data")
    assert candidates([""], tmp_path) == expected
    assert candidates(["c"], tmp_path) == ("check", "climb")
    assert candidates(["train", ""], tmp_path) == ("lora", "prefer", "distil", "full", "scratch")
    assert candidates(["train", "s"], tmp_path) == ("scratch",)
    assert candidates(["-n", "5", "cl"], tmp_path) == ("climb",)
    assert candidates([], tmp_path)[0] == "init"


def test_flags_belong_to_their_verb(tmp_path: Path) -> None:
    assert "--against" in candidates(["report", "--"], tmp_path)
    assert "--against" not in candidates(["climb", "--"], tmp_path)
    assert candidates(["climb", "--retry"], tmp_path) == ("--retry-failed",)


def test_values_are_offered_also_where_bash_cuts_the_word(tmp_path: Path) -> None:
    expected = ("rich",)
    assert candidates(["climb", "--display", "r"], tmp_path) == expected
    assert candidates(["climb", "--display=r"], tmp_path) == expected
    assert candidates(["climb", "--display", "=", "r"], tmp_path) == expected


def test_ids_and_rungs_come_from_the_ledger(project: Path) -> None:
    assert candidates(["report", ""], project) == ("@last", "c2", "c1", "t1")
    assert candidates(["train", "--after", ""], project) == ("t1",)
    assert "t1/lora" not in candidates(["eval", ""], project)
    assert candidates(["report", "c1", "--against", "c"], project) == ("c2", "c1")
    assert candidates(["report", "@", "la"], project) == ("@last",)
    assert candidates(["eval", "c2/l"], project) == ("c2/lora", "c2/lora+retrieve")
    assert "freehold/acorn" in candidates(["eval", ""], project)
    assert candidates(["-C", str(project), "report", "c"], project / "elsewhere") == ("c2", "c1")


def test_a_group_offers_its_verbs_and_they_offer_snapshots(project: Path) -> None:
    assert candidates(["data", "sp"], project) == ("split",)
    assert candidates(["data", "diff", ""], project) == ("s2", "s1")
    assert candidates(["data", "diff", "s1", "s"], project) == ("s2", "s1")
    assert candidates(["data", "show", "s"], project) == ("s2", "s1")
    assert not [name for name in candidates(["eval", ""], project) if name.startswith("s")]


def test_a_missing_or_broken_ledger_offers_nothing(tmp_path: Path) -> None:
    assert candidates(["report", ""], tmp_path) == ()
    (tmp_path / ".freehold").mkdir()
    (tmp_path / ".freehold" / "ledger.db").write_text("this is no database at all " * 50)
    assert candidates(["report", ""], tmp_path) == ()


def test_codes_and_examples_are_offered(tmp_path: Path) -> None:
    assert "CFG-001" in candidates(["check", "--explain", "CFG"], tmp_path)
    assert candidates(["init", "--example", ""], tmp_path) == ("ticket-routing",)


def test_data_files_are_left_to_the_shell(tmp_path: Path) -> None:
    assert candidates(["climb", "exa"], tmp_path) == ()


def test_there_is_a_place_for_every_script() -> None:
    assert SCRIPTS.keys() == PLACES.keys()


def test_bash_completes_the_real_command(project: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    typed = [
        'COMP_WORDS=(freehold report c); COMP_CWORD=2; _freehold; echo "${COMPREPLY[*]}"',
        'COMP_WORDS=(freehold clim); COMP_CWORD=1; _freehold; echo "${COMPREPLY[*]}"',
        'COMP_WORDS=(freehold report --format = j); COMP_CWORD=4; _freehold; echo "${COMPREPLY[*]}"',
        "complete -p freehold",
    ]
    script = SCRIPTS["bash"] + "\n".join(typed)
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        cwd=project,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0].split() == ["c2", "c1"]
    assert done.stdout.splitlines()[1] == "climb"
    assert done.stdout.splitlines()[2].split() == ["json", "junit"]
    assert "-F _freehold freehold" in done.stdout
