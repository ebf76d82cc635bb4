"""A run opened again to try parameters with: what combination of models needs of any run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from chainstitch.nnet.tasks.task import Built
from chainstitch.nnet.train import diagnostics
from chainstitch.nnet.train.protocols import Batch, Examples, Stateless
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UserError

State = dict[str, Tensor]


class Remembered(Stateless):
    """Examples whose batches stay in memory: every candidate is measured on the same few."""

    def __init__(self, examples: Examples) -> None:
        self.examples, self.frames, self.unit = examples, examples.frames, examples.unit
        self.num_measured, self.at_once = examples.num_measured, examples.at_once
        self._batches: dict[tuple[int, ...], Batch] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def __str__(self) -> str:
        return str(self.examples)

    def batch(self, indices: Sequence[int]) -> Batch:
        """These examples, read once."""
        key = tuple(indices)
        if key not in self._batches:
            self._batches[key] = self.examples.batch(indices)
        return self._batches[key]


def _remembered(examples: Examples) -> Examples:
    # a batch of those that carry a state keeps the state that it began in
    return Remembered(examples) if isinstance(examples, Stateless) else examples


@dataclass
class Candidates:
    """What measures candidates for the final model of a run.

    Attributes:
        exp: its directory; built: its network and examples.
        facts: what final.pt holds besides the model.
    """

    exp: Path
    device: str
    built: Built
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        self.network = self.built.network.to(self.device)
        self.train, self.valid = _remembered(self.built.train), _remembered(self.built.valid)

    def parameters(self, name: str) -> State:
        """Those of a checkpoint, on the host."""
        state = self.model(name, "cpu")
        return {name: state[name] for name, _ in self.network.named_parameters()}

    def model(self, name: str, device: str) -> State:
        """The model of a checkpoint.

        Raises:
            UserError: it cannot be read, or is of another network.
        """
        path = self.exp / name
        state: State = checkpoint.load(path, device)["model"]
        checkpoint.check_model(state, self.network.state_dict(), path, str(self.exp))
        return state

    def load(self, state: State) -> None:
        """Puts parameters in, and takes batch-norm statistics afresh."""
        self.network.load_state_dict(self.network.state_dict() | state)
        indices = diagnostics.subset(self.train, self.built.num_statistics)
        diagnostics.refresh_statistics(self.network, self.train, indices, self.device)

    def objective(self, examples: Examples) -> float:
        """Per frame, image or word, of what was loaded."""
        indices = diagnostics.subset(examples)
        return diagnostics.objective(
            self.network, self.built.measured, examples, indices, self.device
        )

    def objective_and_gradient(self, examples: Examples, state: State) -> tuple[float, State]:
        """Of these parameters."""
        self.network.load_state_dict(self.network.state_dict() | state)
        return diagnostics.objective_and_gradient(
            self.network, self.built.measured, examples, diagnostics.subset(examples), self.device
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
