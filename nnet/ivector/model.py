"""From the features of utterances to their i-vectors: front end, UBM and extractor, one file.

Online estimates are those of Kaldi's `ivector-extract-online2`: after frames 0, 10, 20, ..., each
from the frames up to that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.ivector.extractor import IvectorExtractor, Statistics, accumulate
from chainstitch.nnet.ivector.front_end import FrontEnd, Stream, Utterances
from chainstitch.nnet.ivector.ubm import DiagonalUbm
from chainstitch.utils import checkpoint
from chainstitch.utils.arguments import check_numbers
from chainstitch.utils.data.ivectors import MODEL
from chainstitch.utils.errors import UserError

CHUNK = 8192  # frames at a time
SEGMENTS = 128  # segments at a time
BOUNDS = {
    "num_gselect": "whole [1, inf)", "min_post": "[0, 1)", "posterior_scale": "(0, inf)",
    "max_count": "[0, inf)", "period": "whole [1, inf)", "max_remembered_frames": "[0, inf)",
}  # fmt: skip


class IvectorModel:
    """All of it, and the constants of extraction.

    Args:
        num_gselect: Gaussians that share a frame; min_post: smallest posterior kept.
        posterior_scale: κ; max_count: C (nnet/ivector/extractor.py).
        period: input frames from one online estimate to the next.
        max_remembered_frames: of a speaker's earlier utterances; statistics of more are scaled
            down to so many.

    Raises:
        TypeError, ValueError: a constant out of bounds, parts that do not fit together, or numbers
            that are not finite.
    """

    def __init__(
        self,
        front: FrontEnd,
        ubm: DiagonalUbm,
        extractor: IvectorExtractor,
        num_gselect: int = 5,
        min_post: float = 0.025,
        posterior_scale: float = 0.1,
        max_count: float = 100.0,
        period: int = 10,
        max_remembered_frames: float = 1000.0,
    ) -> None:
        self.front, self.ubm, self.extractor = front, ubm, extractor
        self.constants: dict[str, Any] = {
            "num_gselect": num_gselect, "min_post": min_post, "posterior_scale": posterior_scale,
            "max_count": max_count, "period": period,
            "max_remembered_frames": max_remembered_frames,
        }  # fmt: skip
        check_numbers("i-vectors", BOUNDS, **self.constants)
        rows, gaussians = len(front.transform), tuple(ubm.means.shape)
        if gaussians[1:] != (rows,) or ubm.weights.shape != gaussians[:1]:
            raise ValueError(f"front end of {rows} dimensions, UBM of {gaussians}")
        if extractor.T.shape[:2] != gaussians:
            raise ValueError(f"UBM of {gaussians}, extractor of {tuple(extractor.T.shape[:2])}")
        tensors = (
            front.mean, front.silence, front.transform, ubm.weights, ubm.means, ubm.variances,
            extractor.T, extractor.variances,
        )  # fmt: skip
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise ValueError("front end, UBM or extractor with numbers that are not finite")

    @property
    def period(self) -> int:
        """Input frames from one online estimate to the next."""
        return int(self.constants["period"])

    def statistics(self, stream: Stream, segment: Tensor, number: int) -> Statistics:
        """Statistics of `number` segments of a stream.

        Args:
            segment: (n,) each frame's, ascending.
        """
        gamma = stream.plain.new_zeros(number, self.ubm.num_gauss)
        first = stream.plain.new_zeros(number, *self.ubm.means.shape)
        second = torch.zeros_like(self.ubm.means)
        scale = self.constants["posterior_scale"]
        for begin in range(0, len(segment), CHUNK):
            x, y, _ = (part[begin : begin + CHUNK] for part in stream)
            s = segment[begin : begin + CHUNK]
            which, r = self.ubm.posteriors(
                x, self.constants["num_gselect"], self.constants["min_post"]
            )
            lowest, behind = int(s[0]), int(s[-1]) + 1
            part = accumulate(which, scale * r, y, s - lowest, behind - lowest, self.ubm.num_gauss)
            gamma[lowest:behind] += part.gamma
            first[lowest:behind] += part.first
            second += part.second
        return Statistics(gamma, first, second)

    def per_utterance(self, streams: Iterable[Stream]) -> Iterator[Statistics]:
        """Statistics of utterances, each by itself, in batches."""
        batch: list[Stream] = []
        frames = 0
        for stream in streams:
            batch.append(stream)
            frames += len(stream.times)
            if len(batch) >= SEGMENTS or frames >= 4 * CHUNK:
                yield self._together(batch)
                batch, frames = [], 0
        if batch:
            yield self._together(batch)

    def offline(self, groups: Sequence[Utterances]) -> np.ndarray:
        """float32 (groups, D) one estimate for each group of one speaker's utterances.

        Args:
            groups: of (name, raw features (frames, dim)).

        Raises:
            UserError: from the front end; names the utterance.
        """
        streams = (stream for group in groups for stream in self.front.streams(group))
        found = [
            (part.gamma, self.extractor.project(part.first)) for part in self.per_utterance(streams)
        ]
        group = torch.tensor([g for g, utterances in enumerate(groups) for _ in utterances])
        gamma, projected = (
            x.new_zeros(len(groups), x.shape[1]).index_add_(0, group, x)
            for x in (torch.cat(x) for x in zip(*found, strict=True))
        )
        estimates = self.extractor.estimate(gamma, projected, self.constants["max_count"])
        return np.asarray(estimates.numpy(), dtype=np.float32)

    def online(self, group: Utterances) -> list[np.ndarray]:
        """Estimates after frames 0, period, 2 period, ... of one speaker's utterances.

        Each from the frames up to that one (and 3 more, by the splicing) and from the speaker's
        utterances before. To train a network, groups should be small, as Kaldi cuts speakers to 2
        utterances: else it sees few i-vectors, and hardly any of little speech.

        Args:
            group: of (name, raw features (frames, dim)), in the order of being heard.

        Returns:
            float32 (ceil(frames / period), D) per utterance.

        Raises:
            UserError: from the front end; names the utterance.
        """
        gamma = self.ubm.weights * 0
        projected = gamma.new_zeros(self.extractor.dim)
        remembered = self.constants["max_remembered_frames"] * self.constants["posterior_scale"]
        found = []
        for (_, raw), stream in zip(group, self.front.streams(group), strict=True):
            rows = -(-len(raw) // self.period)
            # row k wants frames up to k period; what comes behind the last one is for later
            row = (stream.times + self.period - 1) // self.period
            parts = [(gamma[None], projected[None])]
            for begin in range(0, rows + 1, SEGMENTS):
                inside = (row >= begin) & (row < begin + SEGMENTS)
                part = self.statistics(
                    Stream(*(x[inside] for x in stream)),
                    row[inside] - begin,
                    min(SEGMENTS, rows + 1 - begin),
                )
                parts.append((part.gamma, self.extractor.project(part.first)))
            gammas, sums = (torch.cat(x).cumsum(0)[1:] for x in zip(*parts, strict=True))
            estimates = self.extractor.estimate(
                gammas[:rows], sums[:rows], self.constants["max_count"]
            )
            found.append(np.asarray(estimates.numpy(), dtype=np.float32))
            keep = min(1.0, remembered / max(float(gammas[-1].sum()), 1e-10))
            gamma, projected = keep * gammas[-1], keep * sums[-1]
        return found

    def save(self, directory: Path | str) -> None:
        """Writes `ivector.pt` there."""
        parts = {name: getattr(self, name).state_dict() for name in ("front", "ubm", "extractor")}
        checkpoint.save(parts | {"constants": self.constants}, Path(directory) / MODEL)

    @classmethod
    def load(cls, directory: Path | str) -> IvectorModel:
        """What `save` wrote.

        Raises:
            UserError: missing or damaged.
        """
        path = Path(directory) / MODEL
        if not path.is_file():
            raise UserError(
                f"{directory} has no {MODEL}; give a directory that `chainstitch ivectors train` "
                "wrote"
            )
        state = checkpoint.load(path, keys=("front", "ubm", "extractor", "constants"))
        try:
            return cls(
                FrontEnd(**state["front"]), DiagonalUbm(**state["ubm"]),
                IvectorExtractor(**state["extractor"]), **state["constants"],
            )  # fmt: skip
        except (TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise UserError(
                f"{path} is damaged ({error}); run `chainstitch ivectors train` again"
            ) from None

    def _together(self, streams: Sequence[Stream]) -> Statistics:
        """Each stream is a segment."""
        segment = [torch.full_like(s.times, number) for number, s in enumerate(streams)]
        joined = Stream(*(torch.cat(x) for x in zip(*streams, strict=True)))
        return self.statistics(joined, torch.cat(segment), len(streams))
