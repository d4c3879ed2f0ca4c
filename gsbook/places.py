"""Where things are: the records that travel with the package, and the commands that make them."""

from __future__ import annotations

from pathlib import Path

from gsbook import files

PACKAGE = Path(__file__).parent


def results_folder() -> Path:
    """The folder that holds the book's records, a folder for each experiment.

    GSLIB_RESULTS names another. Else `results` beside the package in the repository; installed,
    they are the package `gsbook_results`, which stands beside it, too.

    >>> (results_folder() / "equivalent_code.json").exists()
    True
    """
    if folder := files.named("GSLIB_RESULTS"):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"GSLIB_RESULTS is {str(folder)!r}, which is not a folder: correct or unset it"
            )
        return folder
    for name in ("gsbook_results", "results"):
        folder = PACKAGE.parent / name
        if (folder / "equivalent_code.json").exists():
            return folder
    raise FileNotFoundError(
        f"the book's records are not beside {PACKAGE}: install gumbel-softmax-book[book] from the "
        "book's repository, or name a folder of records in GSLIB_RESULTS"
    )


def command(target: str, budget: str = "laptop") -> str:
    """What trains and records a cell, a row or a table.

    >>> command("vae-bernoulli-st")
    'python -m gsbook run vae-bernoulli-st --budget laptop'
    """
    return f"python -m gsbook run {target} --budget {budget}"
