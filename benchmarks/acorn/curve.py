# pyright: basic
"""Draws the curve of a training from scratch: a table on standard output, and an SVG.

python benchmarks/acorn/curve.py benchmarks/acorn/curve.jsonl docs/images/acorn-curve.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 240, 44, 28, 12
ROWS = 16


def main(curve: Path, picture: Path) -> None:
    """Print the table and write the picture."""
    points = [json.loads(line) for line in curve.read_text(encoding="utf-8").splitlines()]
    print("| million tokens | steps | loss | learning rate | hours |")
    print("|---|---|---|---|---|")
    for share in range(ROWS):
        point = points[round(share * (len(points) - 1) / (ROWS - 1))]
        print(
            f"| {point['tokens'] / 1e6:.1f} | {point['step']} | {point['loss']:.2f}"
            f" | {point['learning_rate']:.5f} | {point['seconds'] / 3600:.2f} |"
        )
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(drawing(points), encoding="utf-8")


def drawing(points: Sequence[dict[str, float]]) -> str:
    """Return the loss over tokens as SVG."""
    most_tokens = points[-1]["tokens"]
    most_loss = 1.0 + max(point["loss"] for point in points) // 1.0

    def x(tokens: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * tokens / most_tokens

    def y(loss: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * loss / most_loss

    line = " ".join(f"{x(p['tokens']):.1f},{y(p['loss']):.1f}" for p in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' font-family="sans-serif" font-size="11" fill="#666">',
        "<title>Mean weighted loss of freehold/acorn over training tokens</title>",
    ]
    for loss in range(int(most_loss) + 1):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y(loss):.1f}" y2="{y(loss):.1f}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss}</text>'
        )
    for tokens in range(0, int(most_tokens / 1e6) + 1, 4):
        parts.append(
            f'<text x="{x(tokens * 1e6):.1f}" y="{HEIGHT - 10}" text-anchor="middle">{tokens} M</text>'
        )
    parts.append(f'<polyline points="{line}" fill="none" stroke="#2b6cb0" stroke-width="1.5"/>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
