"""Every public name of gslib shows an example in its docstring; examples run wherever they are."""

import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import sys

import matplotlib.pyplot as plt
import pytest
import torch

import gsbook
import gslib
from gsbook import alphabets, data
from gsbook.experiments.table1.config import Config

TAKEN_HOME, MADE_THE_NUMBERS = (
    [
        module.name
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if "._" not in module.name
    ]
    for package in (gslib, gsbook)
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public(module):
    """The functions and classes that a module defines itself."""
    for name, thing in vars(module).items():
        defined = getattr(thing, "__module__", "") == module.__name__
        if (
            defined
            and not name.startswith("_")
            and (inspect.isclass(thing) or inspect.isroutine(thing))
        ):
            yield name, thing


def examples(module):
    """Runnable examples: they see the names of their module, a config, torch and gslib."""
    names = {"Config": Config} | vars(module) | {"torch": torch, "gslib": gslib}
    return [test for test in doctest.DocTestFinder().find(module, globs=names) if test.examples]


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty working folder, and the process's settings put back; data sets have said whence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    with contextlib.redirect_stdout(io.StringIO()):
        data.binarized_mnist("train"), data.mnist("train"), alphabets.drawings()
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    with plt.rc_context():
        yield
    plt.close("all")
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("name", TAKEN_HOME)
def test_public_names_have_examples(name):
    module = importlib.import_module(name)
    assert [
        public_name for public_name, thing in public(module) if ">>>" not in (thing.__doc__ or "")
    ] == []


@pytest.mark.parametrize("name", TAKEN_HOME + MADE_THE_NUMBERS)
def test_examples_run(name, scratch):
    for test in examples(importlib.import_module(name)):
        torch.manual_seed(0)
        said = io.StringIO()
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.write)
        assert not said.getvalue(), said.getvalue()
        lines = sum(example.source.count("\n") for example in test.examples)
        assert lines <= 6, f"{test.name}: {lines} lines"
