"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from importlib.util import find_spec

import pytest
import torch

import chainstitch.nnet
import chainstitch.utils

MODULES = [
    module.name
    for package in (chainstitch.nnet, chainstitch.utils)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    # triton is there on Linux only
    if ".chain.gpu" not in module.name or find_spec("triton")
]


def examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    found = doctest.DocTestFinder().find(module)
    return [test for test in found if test.examples]


def test_there_are_examples() -> None:
    assert sum(len(examples(name)) for name in MODULES) >= 6


@pytest.mark.parametrize("name", [name for name in MODULES if examples(name)])
def test_examples_run(name: str) -> None:
    torch.manual_seed(0)
    for test in examples(name):
        test.globs |= {"torch": torch, "nn": torch.nn}
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        said: list[str] = []
        runner.run(test, out=said.append)
        assert runner.failures == 0, "".join(said)
