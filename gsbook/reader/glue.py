"""Results for the prose: what a chapter glues, its text shows."""

import re

import numpy as np

GLUED = {}  # by name, what was glued so far


def glue(name, value, display=False):
    """Hand a result to the text of the book, which shows it as ``{glue:text}`name```.

    Where the book is not built, as in Colab, `say` shows it.

    >>> glue("variance", 0.123456)
    >>> say("The variance is {{variance}}.")
    The variance is 0.123456.
    """
    if isinstance(value, np.generic):  # whose text has the name of its type in it
        value = value.item()
    GLUED[name] = value
    try:
        from myst_nb import glue
    except ImportError:
        return
    glue(name, value, display=display)


class _Passage(str):
    """Text that notebooks show as Markdown and terminals as it is."""

    def _repr_markdown_(self):
        return str(self)

    def __repr__(self):
        return str(self)


def say(text):
    """A passage of the book with results in it: ``{{name}}`` or, with a format, ``{{name:.2f}}``.

    Raises KeyError for a result that no cell has glued yet.

    >>> glue("bias", 0.123456)
    >>> say("The bias is {{bias:.2f}}.")
    The bias is 0.12.
    """

    def shown(match):
        if match[1] not in GLUED:
            raise KeyError(f"no result {match[1]!r} yet: run the cells above, from the first one")
        return format(GLUED[match[1]], match[2] or "")

    return _Passage(re.sub(r"\{\{([^{}:]*)(?::([^{}]*))?\}\}", shown, text).strip())
