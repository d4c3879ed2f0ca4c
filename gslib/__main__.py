"""`python -m gslib run …` of the first edition: the command is `python -m gsbook run …` now."""

import importlib.util
import runpy
import sys

if __name__ == "__main__":
    print("The experiments have moved: use python -m gsbook", *sys.argv[1:], file=sys.stderr)
    if importlib.util.find_spec("gsbook") is None:
        sys.exit("gsbook is not installed: pip install gumbel-softmax-book[book]")
    runpy.run_module("gsbook", run_name="__main__", alter_sys=True)
