"""How much of a file is held in memory at once, and where a file is no longer taken for honest data."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one file may ask of this machine.

    Attributes:
        line_bytes: of one row as text: a line, a cell, an item of a JSON list. A longer row is left out.
        whole_bytes: of what cannot be read piece by piece: the standard input, an object around a list,
            a packed table.
        document_bytes: of one document that is a file of its own: a longer text is a whole library.
        depth: of objects and lists inside each other in one row. A deeper row is left out.
        unpacked_ratio: a packed file may unpack to so many times its size ...
        unpacked_bytes: ... once it has unpacked to more than this.
        held_rows: of examples that are held in memory at once, to be divided and frozen ...
        held_bytes: ... and their size as text. What is more is read as a sample.
    """

    line_bytes: int = 16 * MIB
    whole_bytes: int = GIB
    document_bytes: int = 64 * MIB
    depth: int = 100
    unpacked_ratio: int = 500
    unpacked_bytes: int = 256 * MIB
    held_rows: int = 2_000_000
    held_bytes: int = 512 * MIB


LIMITS = Limits()
