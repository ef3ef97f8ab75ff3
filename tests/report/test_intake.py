from tests.report import sample

from freehold.report.intake import (
    Lengths,
    PlanRow,
    check_heading,
    defaults_line,
    init_lines,
    plan_table,
    snapshot_lines,
)


def test_a_climb_starts_with_what_the_data_is_and_how_it_was_split() -> None:
    data = sample.snapshot()
    text = snapshot_lines(data, sample.task())
    rows = text.splitlines()
    assert rows[0].startswith("data/examples.jsonl")
    assert "5,124 rows · OpenAI messages · 5 labels → classification → exact_match" in text
    assert "train 40 · dev 20 · test 400 · audit 20   seed 7   snapshot " in text
    assert "4 dropped: no assistant turn (rows 17, 902, 903, 4001)" in text
    assert max(len(row) for row in rows) <= 88


def test_without_a_task_file_the_defaults_are_said() -> None:
    assert defaults_line(sample.task()) == (
        "No task.yaml, so defaults: quality ≥ 0.80, kept ≥ 0.97, freehold/acorn, stop=full"
    )


def test_init_says_what_it_saw() -> None:
    text = init_lines(
        sample.snapshot(),
        sample.task(),
        file_bytes=6_200_000,
        lengths=Lengths(p50=212, p95=1140, longest=3902, fits=4096),
    )
    assert text.splitlines() == [
        "Looking at data/examples.jsonl … 5,124 rows, 6.2 MB",
        "  format     OpenAI messages · 4 dropped: no assistant turn (rows 17, 902, 903, 4001)",
        "  target     5 labels → classification → metric exact_match",
        "  lengths    p50 212 tok · p95 1,140 · max 3,902 (fits 4,096)",
        "  duplicates 61 exact, 204 near → grouped, so they cannot straddle splits",
        "  split      train 40 · dev 20 · test 400 · audit 20 (seed 7)",
    ]


def test_the_plan_is_the_drawing() -> None:
    # experience.md 6.2
    rows = [
        PlanRow(rung="baseline", seconds=5.0, dollars=0.0),
        PlanRow(rung="zero_shot", seconds=40.0, dollars=0.02, memory_gib=9.0),
        PlanRow(
            rung="distil",
            seconds=390.0,
            dollars=0.22,
            memory_gib=12.0,
            note="student Qwen3-0.6B · teacher: best rung so far",
        ),
        PlanRow(rung="full", seconds=2460.0, dollars=1.37, memory_gib=74.0),
        PlanRow(rung="prefer", state="skipped", note="no pairs"),
    ]
    assert plan_table(rows, within="within budget $25").splitlines() == [
        "  rung          time     cost    memory",
        "  baseline      0:05    $0.00    no GPU",
        "  zero_shot     0:40    $0.02     9 GiB",
        "  distil        6:30    $0.22    12 GiB   student Qwen3-0.6B · teacher: best rung so far",
        "  full        41 min    $1.37    74 GiB",
        "  prefer      – skipped: no pairs",
        "  total       ≈ 48 min   ≈ $1.61                  within budget $25",
    ]


def test_a_check_starts_with_its_counts() -> None:
    text = check_heading("task.yaml", errors=0, warnings=2)
    assert text.startswith("task.yaml")
    assert text.endswith("✓ 0 errors   ! 2 warnings")
    assert len(text) == 88
