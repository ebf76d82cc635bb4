"""A run opened again, to try parameters with: what combination of models needs of any run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chainstitch.nnet.combine.average import State
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.train import diagnostics
from chainstitch.nnet.train.protocols import Examples, Loss
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UserError


@dataclass
class Reopened:
    """The network and the examples of a run.

    Attributes:
        loss: of training; bare: without penalties, the objective alone.
        statistics, final_statistics: examples that batch-norm statistics of a candidate, and of
            the final model, are taken over.
        facts: what final.pt holds besides the model.
    """

    exp: Path
    device: str
    network: Trainable
    loss: Loss
    bare: Loss
    train: Examples
    valid: Examples
    statistics: int
    final_statistics: int
    facts: dict[str, Any] = field(default_factory=dict)

    def parameters(self, name: str) -> State:
        """Those of a checkpoint, on the host."""
        state = checkpoint.load(self.exp / name)["model"]
        return {name: state[name] for name, _ in self.network.named_parameters()}

    def load(self, state: State, final: bool = False) -> None:
        """Puts parameters in, and takes batch-norm statistics afresh."""
        self.network.load_state_dict(self.network.state_dict() | state)
        count = self.final_statistics if final else self.statistics
        indices = diagnostics.subset(self.train, count)
        diagnostics.refresh_statistics(self.network, self.train, indices, self.device)

    def objective(self, examples: Examples) -> float:
        """Per frame or image, of what was loaded."""
        indices = diagnostics.subset(examples)
        return diagnostics.objective(self.network, self.loss, examples, indices, self.device)

    def objective_and_gradient(self, examples: Examples, state: State) -> tuple[float, State]:
        """Of these parameters."""
        self.network.load_state_dict(self.network.state_dict() | state)
        return diagnostics.objective_and_gradient(
            self.network, self.bare, examples, diagnostics.subset(examples), self.device
        )

    @contextmanager
    def finite(self) -> Iterator[None]:
        """Says in one line what is not."""
        try:
            yield
        except FloatingPointError as error:
            raise UserError(
                f"{self.exp}: a model or its output is not finite ({error}); train again with a "
                "lower optim.initial_lr"
            ) from None
