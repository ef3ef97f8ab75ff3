"""The command as a process: how fast and bare it starts, how it is stopped, what its streams carry."""

import json
import os
import pty
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "pandas", "pydantic", "numpy", "rich", "sklearn", "ruamel")
BASELINE = ("-s", "ladder.rungs=[baseline]", "-s", "ladder.baseline.try=[majority]")
SLOW = ("-s", "metric={primary: python, python: 'metrics/slow.py:score'}")
COMMAND = (sys.executable, "-m", "freehold")


def run(
    project: Path, *words: str, env: dict[str, str] | None = None, input: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *words],
        cwd=project,
        env=surroundings(project, env),
        input=input,
        capture_output=True,
        check=False,
        timeout=120,
    )


def surroundings(project: Path, more: dict[str, str] | None = None) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(project.parent),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        **(more or {}),
    }


def slow_metric(project: Path, seconds: float) -> None:
    """Write a metric that notes every call, so that what is paid for can be counted."""
    (project / "metrics").mkdir()
    (project / "metrics" / "slow.py").write_text(
        "import time\n"
        "def score(example, output):\n"
        f"    time.sleep({seconds})\n"
        "    with open('calls.txt', 'a') as file:\n"
        "        file.write('x')\n"
        "    return 1.0\n"
    )


@pytest.mark.parametrize("words", [["--help"], ["climb", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(project: Path, words: list[str]) -> None:
    code = (
        "import sys\n"
        "from freehold.cli.main import main\n"
        f"main({words!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_completion_imports_nothing_heavy(project: Path) -> None:
    code = (
        "import sys\n"
        "from freehold.cli.main import main\n"
        "main(['__complete', 'report', ''])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_ctrl_c_pauses_where_everything_is_on_disk_and_the_same_command_resumes(
    project: Path,
) -> None:
    slow_metric(project, 0.05)
    words = [*COMMAND, "climb", "examples.jsonl", *BASELINE, *SLOW, "--display", "json"]
    with subprocess.Popen(
        words, cwd=project, env=surroundings(project), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("{") and json.loads(line).get("done", 0) >= 10:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 130
    paused = rest.splitlines()[-1]
    assert paused.startswith("Paused after ")
    assert "/40 of baseline. Nothing is lost. Resume: freehold climb examples.jsonl" in paused
    done_before = int(paused.split()[2].split("/")[0])
    assert 10 <= done_before < 40
    assert len((project / "calls.txt").read_text()) == done_before
    again = run(project, "climb", "examples.jsonl", *BASELINE, *SLOW, "--json")
    assert again.returncode == 0
    shape = json.loads(again.stdout)
    assert shape["rungs"][0]["evaluated"] == 40
    test_and_audit = 40 + 20
    assert len((project / "calls.txt").read_text()) == test_and_audit


def test_the_second_ctrl_c_stops_at_once(project: Path) -> None:
    slow_metric(project, 30)
    words = [*COMMAND, "climb", "examples.jsonl", *BASELINE, *SLOW, "--display", "json"]
    with subprocess.Popen(
        words, cwd=project, env=surroundings(project), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "rung_started" in line:
                break
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert "Pausing" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert "Nothing is lost" in process.stderr.read()
        assert process.wait(timeout=10) == 130


def test_a_reader_that_goes_away_is_no_error(project: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "check", "--where", "examples.jsonl"],
        cwd=project,
        env=surroundings(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_a_full_disk_is_told_and_the_examples_stay(project: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    before = (project / "examples.jsonl").read_bytes()
    done = subprocess.run(
        [*COMMAND, "climb", "examples.jsonl", *BASELINE],
        cwd=project,
        env=surroundings(project),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=little_room,
    )
    assert done.returncode == 2, done.stderr
    assert "error[MAC-00" in done.stderr
    assert "Traceback" not in done.stderr
    assert (project / "examples.jsonl").read_bytes() == before
    assert run(project, "climb", "examples.jsonl", *BASELINE).returncode == 3


def test_output_that_cannot_be_written_is_told(project: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "--help"],
            cwd=project,
            env=surroundings(project),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "error[MAC-001]: no space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_utf8_every_symbol_is_ascii(project: Path) -> None:
    words = ("climb", "examples.jsonl", *BASELINE)
    done = run(project, *words, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 3
    assert done.stdout.isascii() and done.stderr.isascii()
    assert b"x FAIL" in done.stdout
    assert b"?" not in done.stdout.splitlines()[2]


def test_progress_goes_to_stderr_and_data_to_stdout(project: Path) -> None:
    done = run(project, "climb", "examples.jsonl", *BASELINE, "--json", "--display", "plain")
    assert done.returncode == 3
    assert json.loads(done.stdout)["climb"] == "c1"
    assert b"baseline" in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("more", "is_live"), [({}, True), ({"CI": "true"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_gets_the_live_drawing_and_ci_gets_plain_lines(
    project: Path, more: dict[str, str], is_live: bool
) -> None:
    leader, follower = pty.openpty()
    environment = surroundings(project, {"TERM": "xterm-256color", "COLUMNS": "88", **more})
    with subprocess.Popen(
        [*COMMAND, "climb", "examples.jsonl", *BASELINE],
        cwd=project,
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        shown = read_all(leader)
        assert process.wait(timeout=60) == 3
    os.close(leader)
    assert ("^C pauses" in shown) is is_live
    assert ("\x1b[" in shown) is (more.get("TERM") != "dumb")
    assert "FAIL" in shown


def read_all(descriptor: int) -> str:
    """Read a terminal until its other side is closed."""
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([descriptor], [], [], 60)
        if not ready:
            break
        try:
            part = os.read(descriptor, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")
