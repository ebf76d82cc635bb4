"""Layers whose rows natural gradient never sees are named in one warning."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import nn

from chainstitch.nnet.optim import NaturalGradient


def linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 2)


def trained(run: Any, module: nn.Module, natural_gradient: NaturalGradient, passes: int) -> None:
    for _ in range(passes):
        module.zero_grad()
        run().square().sum().backward()
        natural_gradient.precondition_gradients()


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("chainstitch")]


def test_a_module_that_was_compiled_before_is_named_in_one_warning(caplog):
    torch.compiler.reset()
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    compiled, x = torch.compile(model, backend="eager"), torch.randn(8, 4)
    compiled(x).sum().backward()
    natural_gradient = NaturalGradient(model)
    with caplog.at_level(logging.WARNING):
        trained(lambda: compiled(x), model, natural_gradient, 2)
        assert not ours(caplog)  # it might be that they are not called yet
        trained(lambda: compiled(x), model, natural_gradient, 4)
    (record,) = ours(caplog)
    assert "no rows of 0, 2 in 3 passes" in record.message and "compile" in record.message
    assert natural_gradient.unseen() == ["0", "2"]
    assert natural_gradient.statistics()["updates"] == 0
    torch.compiler.reset()  # as the warning says
    trained(lambda: compiled(x), model, natural_gradient, 1)
    assert natural_gradient.unseen() == [] and natural_gradient.statistics()["updates"] > 0
    torch.compiler.reset()


def test_out_proj_of_attention_is_named_and_excluded_by_its_name(caplog):
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.out = nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.attention(x, x, x)[0])

    model, x = Model(), torch.randn(2, 3, 8)
    natural_gradient = NaturalGradient(model)
    with caplog.at_level(logging.WARNING):
        trained(lambda: model(x), model, natural_gradient, 9)
    (record,) = caplog.records
    assert "no rows of attention.out_proj in 3 passes" in record.message
    assert natural_gradient.unseen() == ["attention.out_proj"]
    natural_gradient.remove()
    caplog.clear()
    natural_gradient = NaturalGradient(model, exclude=["*.out_proj"])
    trained(lambda: model(x), model, natural_gradient, 9)
    assert not caplog.records and natural_gradient.unseen() == []


def test_layers_that_are_not_used_are_no_reason_for_a_warning(caplog):
    model = nn.ModuleList([linear(), linear()])
    natural_gradient = NaturalGradient(model)
    trained(lambda: model[0](torch.ones(2, 3)), model, natural_gradient, 9)
    assert not caplog.records and natural_gradient.unseen() == []
