"""Pages that are made from data when the book is built: scoreboard, choices, concordance, status,
speed, and what the first page says.

    python book/tools/pages.py [FOLDER]     write them to a folder, by default _build/generated

The pages of these names in book/ hold the prose and include what is written here."""

from __future__ import annotations

import sys
from pathlib import Path

import choices
import concordance
import grid
import landing
import scoreboard
import speed
import status
from markup import GENERATED, chapter_link, chapters, label_link, save, table


def write(folder: Path = GENERATED) -> None:
    """Write every generated part; a file that would not change is left alone, so that its page is
    not read again."""
    parts = {
        "scoreboard.md": scoreboard.page,
        "findings.md": landing.findings,
        "landing.md": lambda: f"```{{raw}} html\n{landing.cells()}```\n",
        "tallies.md": landing.tallies,
        "status.md": status.page,
        "grid.md": grid.page,
        "speed.md": speed.page,
        "bounds.md": speed.bounds,
        "cells.md": speed.against_itself,
        "choices.md": lambda: choices.page(chapter_link),
        "concordance.md": lambda: concordance.page(chapters(), chapter_link, label_link, table),
    }
    for name, make in parts.items():
        save(folder / name, make())


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED)
