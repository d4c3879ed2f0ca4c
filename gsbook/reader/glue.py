"""Results for the prose: what a chapter glues, its text shows."""


def glue(name, value, display=False):
    """Hand a result to the text of the book, which shows it as ``{glue:text}`name```.

    Where the book is not built, as in Colab, the text cannot show it: there the result is printed below the cell.

    >>> glue("bias", 0.123456)  # outside the book
    bias: 0.1235
    """
    try:
        from myst_nb import glue
    except ImportError:
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    else:
        glue(name, value, display=display)
