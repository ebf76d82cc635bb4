"""One minibatch of training: its examples in parts, its passes, the update, its figures.

With gradient accumulation a minibatch goes through the network in `accumulate` parts, for a GPU
whose memory does not hold it whole. Gradients and the natural gradient's sums add up over the
parts, and there is one update. What sees a part only is batch-norm and, in the very first
minibatch, the natural gradient's initial estimate. In data-parallel training (ranks.py) the parts
are those of this process's share.
"""

from __future__ import annotations

import logging
from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.optim import SGD, Backstitch
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.train.plan import Minibatch
from chainstitch.nnet.train.protocols import Batch, Examples, Loss

logger = logging.getLogger(__name__)

Figures = dict[str, float | Tensor]

NONFINITE_OBJF = -10.0  # per frame, what a minibatch with non-finite output counts for


class MinibatchStep:
    """Takes the steps of a training run.

    Args:
        network, loss, examples: what is trained, by what, on what.
        optimizer: over the `SGD` of the network.
        device: of the network.
        accumulate: into how many parts a minibatch is cut, if it has as many examples.
        ranks: the processes that share each minibatch.
    """

    def __init__(
        self,
        network: Trainable,
        loss: Loss,
        examples: Examples,
        optimizer: Backstitch,
        device: str = "cpu",
        accumulate: int = 1,
        ranks: Ranks | None = None,
    ) -> None:
        self.network, self.loss, self.examples = network, loss, examples
        self.optimizer, self.device, self.accumulate = optimizer, device, accumulate
        self.ranks = ranks or Ranks()

    def __call__(
        self, minibatch: Minibatch, sums: Figures, most: int, seeds: tuple[int, ...] = ()
    ) -> None:
        """Trains on a minibatch, and adds its figures to `sums`.

        Args:
            sums: "frames", "nonfinite" and what the loss counts.
            most: how many minibatches of an iteration may have non-finite output.
            seeds: of this minibatch, used where it is shared by several processes.

        Raises:
            NonFiniteError: one more than `most` has.
        """
        smallest = len(minibatch.indices) // self.ranks.size
        if not smallest:  # natural gradient and batch-norm want rows from everybody
            logger.warning(
                "a minibatch of %d examples is left out, as there are %d processes",
                len(minibatch.indices), self.ranks.size,
            )  # fmt: skip
            return
        indices = self.ranks.share(minibatch.indices)
        count = min(self.accumulate, smallest)
        parts = [self.examples.batch(indices[n::count]) for n in range(count)]
        assert isinstance(self.optimizer.optimizer, SGD)
        self.optimizer.optimizer.num_sequences = len(minibatch.indices)
        seen: list[Figures] = []
        buffers = [(buffer, buffer.clone()) for buffer in self.network.buffers()]
        frames = sum(part.frames for part in parts)

        def closure() -> Tensor:
            self.network.zero_grad()
            figures: Figures = defaultdict(float)
            for part in parts:
                loss = self._loss(part, minibatch.shift, sums, most)
                if loss is None:
                    # as in Kaldi: no derivative, so no step, and the next minibatch may be better
                    self.network.zero_grad()
                    if self.optimizer.natural_gradient is not None:
                        self.optimizer.natural_gradient.drop()
                    for buffer, value in buffers:  # batch-norm's, which have seen it
                        buffer.copy_(value)
                    figures.clear()
                    figures["objf"] = NONFINITE_OBJF * frames
                    break
                loss.backward()
                for name, figure in self.loss.sums().items():
                    figures[name] += figure
            else:
                self.ranks.sum_gradients(self.network)
            seen.append(figures)
            return torch.zeros(())

        self._seed(seeds, self.ranks.rank)
        self.optimizer.step(closure)
        self._seed(seeds, self.ranks.size)  # the same constraints in all processes
        self.network.constrain()
        for name, value in seen[0].items():
            sums[name] += value
        sums["frames"] += frames
        if len(seen) > 1:
            sums["step2_objf"] += seen[1]["objf"]
            sums["step2_frames"] += frames

    def _loss(self, part: Batch, shift: int, sums: Figures, most: int) -> Tensor | None:
        """None where the output is not finite, in this process or another."""
        loss, found = None, None
        try:
            loss = part.loss(self.network, self.loss, self.device, shift)
        except NonFiniteError as error:
            found = error
        if not self.ranks.any(found is not None):
            return loss
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
