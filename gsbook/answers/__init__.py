"""The answers of the book's exercises, a module for each chapter."""

from importlib import import_module
from pkgutil import iter_modules

CHAPTERS = tuple(
    import_module(f"{__name__}.{module.name}")
    for module in iter_modules(__path__)
    if module.name.startswith("ch")
)
EXERCISES = {
    label: exercise for chapter in CHAPTERS for label, exercise in chapter.EXERCISES.items()
}
