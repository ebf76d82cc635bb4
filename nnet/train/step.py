"""One minibatch of training: its examples in parts, its passes, the update, its figures.

With gradient accumulation a minibatch goes through the network in `accumulate` parts, for a GPU
whose memory does not hold it whole. Gradients and the natural gradient's sums add up over the
parts, and there is one update. What sees a part only is batch-norm and, in the very first
minibatch, the natural gradient's initial estimate. In data-parallel training (parallel/ranks.py)
the parts are those of this process's share.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.nnet.loss.outcome import Loss, Outcome
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.optim.build import Stepper
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.train.plan import Minibatch
from chainstitch.nnet.train.protocols import Batch, Examples

logger = logging.getLogger(__name__)

Sums = dict[str, float | Tensor]  # see log.py for the names

NONFINITE_OBJF = -10.0  # per frame or image, what output that is not finite counts for


class MinibatchStep:
    """Takes the steps of a training run.

    Args:
        network, loss, examples: what is trained, by what, on what.
        stepper: what moves the parameters.
        device: of the network.
        accumulate: into how many parts a minibatch is cut, if it has as many examples.
        ranks: the processes that share each minibatch.
    """

    def __init__(
        self,
        network: Trainable,
        loss: Loss,
        examples: Examples,
        stepper: Stepper,
        device: str = "cpu",
        accumulate: int = 1,
        ranks: Ranks | None = None,
    ) -> None:
        self.network, self.loss, self.examples = network, loss, examples
        self.stepper, self.device, self.accumulate = stepper, device, accumulate
        self.ranks = ranks or Ranks()

    def parts(self, minibatch: Minibatch) -> list[Batch]:
        """Reads the examples of a minibatch, those of this process; draws nothing at random.

        Empty where there are more processes than examples: natural gradient and batch-norm want
        rows from everybody.
        """
        smallest = len(minibatch.indices) // self.ranks.size
        indices = self.ranks.share(minibatch.indices)
        count = min(self.accumulate, smallest)
        return [self.examples.batch(indices[n::count]) for n in range(count)]

    def __call__(
        self,
        minibatch: Minibatch,
        parts: Sequence[Batch],
        sums: Sums,
        most: int,
        seeds: tuple[int, ...] = (),
    ) -> None:
        """Trains on a minibatch, and adds its figures to `sums`.

        Args:
            parts: of the minibatch, from `parts`.
            sums: of the iteration so far.
            most: how many minibatches of an iteration may have non-finite output.
            seeds: of this minibatch, used where it is shared by several processes.

        Raises:
            NonFiniteError: one more than `most` has.
        """
        if not parts:
            logger.warning(
                "a minibatch of %d examples is left out, as there are %d processes",
                len(minibatch.indices), self.ranks.size,
            )  # fmt: skip
            return
        seen: list[Sums] = []
        buffers = [(buffer, buffer.clone()) for buffer in self.network.buffers()]

        def closure() -> Tensor:
            self.network.zero_grad()
            figures: Sums = defaultdict(float)
            for part in parts:
                outcome = self._outcome(part, minibatch.shift, sums, most)
                if outcome is None:
                    # as in Kaldi: no derivative, so no step, and the next minibatch may be better
                    self.network.zero_grad()
                    self.stepper.drop()
                    for buffer, value in buffers:  # batch-norm's, which have seen it
                        buffer.copy_(value)
                    figures.clear()
                    figures["count"] = count = sum(part.count for part in parts)
                    figures["objf"] = NONFINITE_OBJF * count
                    break
                outcome.value.backward()
                add_outcome(figures, outcome)
            else:
                figures["lost"] = torch.as_tensor(figures["lost"]).clamp(max=1)  # not by part
                self.ranks.sum_gradients(self.network)
            seen.append(figures)
            return torch.zeros(())

        self._seed(seeds, self.ranks.rank)
        self.stepper.step(closure, len(minibatch.indices))
        self._seed(seeds, self.ranks.size)  # the same constraints in all processes
        self.network.constrain()
        for name, value in seen[0].items():
            sums[name] += value
        if len(seen) > 1:
            sums["step2_objf"] += seen[1]["objf"]
            sums["step2_count"] += seen[1]["count"]

    def _outcome(self, part: Batch, shift: int, sums: Sums, most: int) -> Outcome | None:
        """None where the output is not finite, in this process or another."""
        outcome, found = None, None
        try:
            outcome = part.outcome(self.network, self.loss, self.device, shift)
        except NonFiniteError as error:
            found = error
        if not self.ranks.any(found is not None):
            return outcome
        sums["nonfinite"] += 1
        if sums["nonfinite"] > most:
            raise found or NonFiniteError("the output of another process", [])
        if found:
            logger.warning("%s; this minibatch is passed over", found)
        return None

    def _seed(self, seeds: tuple[int, ...], which: int) -> None:
        """One process goes on with its generator; several, with a state that needs no keeping."""
        if self.ranks.size > 1:
            drawn = np.random.SeedSequence([*seeds, which]).generate_state(1, np.uint64)
            torch.manual_seed(int(drawn[0]))


def add_outcome(figures: Sums, outcome: Outcome) -> None:
    """Adds what a loss said of a part, without waiting for the device."""
    finite = torch.isfinite(outcome.objective)
    lost = NONFINITE_OBJF * outcome.count / max(1, len(finite))  # an example's share
    figures["objf"] += torch.where(finite, outcome.objective, lost).sum()
    figures["lost"] += (~finite).any()
    figures["count"] += outcome.count
    for kind, values in (("figure", outcome.figures), ("number", outcome.counts)):
        for name, value in values.items():
            figures[f"{kind}:{name}"] += value
