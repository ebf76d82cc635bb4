"""A transcript and a model's outputs to words and phones with times; the search is in best_path.py.

What has no alignment is a `NotAlignable` that says why: a word without pronunciation, too few
frames for the phones, with the denominator's weights also what its phone LM cannot say.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.numerator import NumeratorCompiler
from chainstitch.nnet.infer.best_path import (
    AlignmentGraph,
    alignment_graph,
    best_path,
    input_durations,
)
from chainstitch.nnet.infer.lattice_search import input_lattice, lattice_search
from chainstitch.nnet.infer.outputs import Model
from chainstitch.utils.data.alignment_directory import AlignedUtterance
from chainstitch.utils.data.phone_lattice import PhoneLattice
from chainstitch.utils.decode.times import word_spans
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.hmm.pdf_acceptor import pdf_acceptor
from chainstitch.utils.hmm.phone_graph import phone_graph
from chainstitch.utils.hmm.topology import Leaves, monophones
from chainstitch.utils.lang.directory import PHONES, Lang, check_phones, read_table, real_phones


class NotAlignable(Exception):
    """An utterance that has no alignment; says why.

    Attributes:
        kind: the reason without its particulars, to count by.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind} ({detail})")
        self.kind = kind


class Aligner:
    """Aligns transcripts with the outputs of one model.

    Args:
        lang: lexicon, with its probabilities, and phone table.
        leaves: of the context tree that the model was trained with.
        denominator: to count its weights (align.py); None: outputs alone.
        acoustic_scale: of the outputs.
        subsampling: input frames per output frame.
        shift: input frames by which boundaries are moved (`input_durations`).
        boost_silence: nats added to the outputs of silence's pdfs in every frame. Nothing in LF-MMI
            from transcripts teaches a model to say "silence" in a short pause rather than to let
            the last phone last; words then end late. A leaf that silence shares with another phone
            is raised for both. (Kaldi's --boost-silence, as a logarithm.)
        lattice_beam: above 0, also the other ways to say the words, within so many nats of the
            best one, scaled as the outputs are (lattice_search.py).

    Raises:
        UsageError: a lattice and the denominator's weights are wanted, which lattices do not count.
    """

    def __init__(
        self,
        lang: Lang,
        leaves: Leaves,
        denominator: DenominatorGraph | None = None,
        acoustic_scale: float = 1.0,
        subsampling: int = 3,
        shift: int = 0,
        boost_silence: float = 0.0,
        lattice_beam: float = 0.0,
    ) -> None:
        if lattice_beam and denominator is not None:
            raise UsageError(
                "--lattices does not count the denominator's weights; leave --weights out"
            )
        self._lattice_beam = lattice_beam
        self._leaves, self._scale = leaves, acoustic_scale
        self._subsampling, self._shift = subsampling, shift
        self._compiler = None if denominator is None else NumeratorCompiler(denominator)
        self._lang, self._silence = lang, lang.silence
        self._boost_silence = boost_silence
        self._boost = np.zeros(leaves.num_pdfs, np.float32)
        self._boost[np.unique(leaves.table[:, self._silence - 1])] = boost_silence
        self._pronunciations = lang.pronunciations_of

    def align(self, text: str, log_likes: np.ndarray, frames: int) -> AlignedUtterance:
        """The alignment of an utterance.

        Args:
            text: its words.
            log_likes: (output frames, pdfs), as the network gives them.
            frames: input frames.

        Raises:
            NotAlignable: there is none.
            ValueError: outputs that are not finite, or of another number of pdfs or frames.
        """
        words = text.split()
        known = self._lang.known(words)
        unknown = [word for word in known if word not in self._pronunciations]
        if unknown:
            raise NotAlignable("word without pronunciation", ", ".join(unknown))
        phones = phone_graph(known, self._pronunciations, self._silence, self._lang.weights)
        if len(log_likes) < max(1, phones.min_frames):
            raise NotAlignable(
                "too short", f"{len(log_likes)} output frames for {phones.min_frames} phones"
            )
        numerator = None
        if self._compiler is not None:
            numerator = self._compiler.compile(pdf_acceptor(phones, self._leaves))
            if numerator is None or numerator.min_frames > len(log_likes):
                raise NotAlignable("impossible in the denominator", "align without --weights")
        graph = alignment_graph(phones, self._leaves)
        outputs = log_likes + self._boost
        found = best_path(graph, outputs, self._scale, numerator)
        if found is None:  # the denominator allows some lengths only
            raise NotAlignable("impossible in the denominator", "align without --weights")
        silent = sum(duration for phone, duration in found.phones if phone == self._silence)
        boosted = silent * self._scale * self._boost_silence
        said = tuple(phone for phone, _ in found.phones)
        spans = word_spans(said, known, self._pronunciations, self._silence)
        return AlignedUtterance(
            input_durations(found.phones, frames, self._subsampling, self._shift),
            [(word, a, b) for word, (a, b) in zip(words, spans, strict=True)],
            (found.score - boosted) / len(log_likes),
            self._lattice(graph, outputs, frames),
        )

    def _lattice(
        self, graph: AlignmentGraph, outputs: np.ndarray, frames: int
    ) -> PhoneLattice | None:
        """In input frames; None: not wanted."""
        if not self._lattice_beam:
            return None
        arcs = lattice_search(graph, outputs, self._scale, self._lattice_beam)
        return input_lattice(arcs, frames, self._subsampling, self._shift)


def load_aligner(
    exp: Path,
    model: Model,
    lang: Lang,
    weights: bool = False,
    acoustic_scale: float = 1.0,
    shift: int = 0,
    boost_silence: float = 0.0,
    lattice_beam: float = 0.0,
) -> Aligner:
    """The aligner of an experiment directory; `model` is its network, others as of `Aligner`.

    Raises:
        UserError: no den.npz, or the phones of `lang` are not those of training.
    """
    if (exp / PHONES).is_file():
        wanted = real_phones(read_table(exp / PHONES))
        check_phones(lang, wanted, exp, "align with a lang directory of the phones of training")
    denominator = DenominatorGraph.load(exp / "den.npz")
    leaves = denominator.leaves or monophones(lang.num_phones)
    if leaves.num_pdfs != model.num_outputs:
        raise UserError(
            f"{exp}: den.npz has {leaves.num_pdfs} pdfs, the network {model.num_outputs}; give a "
            "directory that `chainstitch train` wrote, with its own den.npz"
        )
    weighted = denominator if weights else None
    return Aligner(
        lang, leaves, weighted, acoustic_scale, model.subsampling, shift, boost_silence,
        lattice_beam,
    )  # fmt: skip
