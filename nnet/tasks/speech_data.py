"""What a speech run learns from, by its config: loss, examples, i-vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chainstitch.nnet.chain import ChainLoss, DenominatorGraph, Leaves, NumeratorCompiler
from chainstitch.nnet.chain.supervision import NumeratorStore
from chainstitch.nnet.loss import FrameLoss
from chainstitch.nnet.loss.outcome import Loss
from chainstitch.nnet.nets import Network
from chainstitch.nnet.tasks.chunks import ChunkExamples
from chainstitch.nnet.tasks.speech_config import SpeechConfig, SpeechInputs
from chainstitch.nnet.tasks.utterances import MAX_DROPPED, ChainExamples
from chainstitch.utils.data.alignments import FILE as ALIGNMENTS
from chainstitch.utils.data.alignments import AlignmentFile, ByUtterance
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.data.lattice_file import FILE as LATTICES
from chainstitch.utils.data.lattice_file import LatticeFile
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.hmm.topology import num_pdfs as count_pdfs
from chainstitch.utils.lang.directory import PHONES, check_phones, read_lang, read_table
from chainstitch.utils.optional import load_k2

SpeechExamples = ChainExamples | ChunkExamples


def load_chain(
    den: Path, lang: Path, config: SpeechConfig, keep: Path | None = None, nj: int = 1
) -> tuple[ChainLoss, NumeratorStore]:
    """The loss over a denominator graph, and the numerators of a lang directory.

    Args:
        keep, nj: where compiled numerators are kept, and how many processes compile them, as of
            NumeratorStore.

    Raises:
        UserError: one is damaged, or they are of different phones; or k2 is asked for and does not
            load.
    """
    if config.chain.backend == "k2":
        load_k2()
    denominator = DenominatorGraph.load(den)
    language = read_lang(lang)
    if denominator.phones:
        again = "make it again with `chainstitch den-graph`"
        check_phones(language, denominator.phones, den, again)
    else:  # from OpenFst, which has no place for them; the last pdfs may not occur
        wanted = count_pdfs(language.num_phones)
        if denominator.num_pdfs > wanted:
            raise UserError(
                f"{den} has {denominator.num_pdfs} pdfs, the {language.num_phones} phones of "
                f"{lang} have {wanted}; give the lang directory that it was made with"
            )
        denominator.num_pdfs = wanted
    chain = config.chain
    loss = ChainLoss(
        denominator, chain.leaky, chain.output_l2, chain.backend, chain.xent_regularize,
        chain.out_of_range,
    )  # fmt: skip
    compiler = NumeratorCompiler(denominator)
    return loss, NumeratorStore(language, compiler, denominator.leaves, keep, nj)


def load_leaves(exp: Path) -> Leaves | None:
    """The leaves of the context tree that the model in `exp` has for pdfs; None: it has no tree.

    Raises:
        UserError: its den.npz is damaged.
    """
    den = exp / "den.npz"
    return DenominatorGraph.load(den).leaves if den.is_file() else None


def load_examples(
    config: SpeechConfig,
    inputs: SpeechInputs,
    chain: ChainLoss,
    store: NumeratorStore,
    network: Network,
) -> tuple[Loss, SpeechExamples, SpeechExamples]:
    """The loss of a run's criterion, and its training and validation examples.

    Raises:
        UsageError: the criterion or the chunks want alignments.
        UserError: alignments are missing or damaged; too few examples are usable.
    """
    training, subsampling = config.training, config.network.subsampling
    cross_entropy = training.criterion == "cross_entropy"
    ivectors = ivector_readers(network, inputs.data, inputs.valid)
    if cross_entropy and inputs.ali_lattice:
        raise UsageError(
            "training.criterion = 'cross_entropy' takes one label a frame, and a lattice has "
            "several; give --ali DIR in place of --ali-lattice DIR, which has both"
        )
    if not inputs.aligned:
        if cross_entropy or training.chunk_widths:
            raise UsageError(
                f"training.criterion = {training.criterion!r} with chunk_widths = "
                f"{training.chunk_widths!r} wants alignments; make them with `chainstitch align` "
                "and give --ali DIR"
            )
        # an unsmoothed phone LM need not be able to say the sentences of the validation set
        train, valid = (
            ChainExamples(FeatureReader(data), store, subsampling, max_dropped, ivectors[data])
            for data, max_dropped in ((inputs.data, MAX_DROPPED), (inputs.valid, 1.0))
        )
        return chain, train, valid

    margin = training.deriv_truncate_margin
    derivs = (margin + network.left_context, margin + network.right_context)

    def aligned(data: str, ali: str, max_dropped: float) -> ChunkExamples:
        phones = read_table(Path(inputs.lang) / PHONES)
        alignments: ByUtterance[Any] = (
            LatticeFile(Path(ali) / LATTICES, phones)
            if inputs.ali_lattice
            else AlignmentFile(Path(ali) / ALIGNMENTS, phones)
        )
        return ChunkExamples(
            FeatureReader(data), alignments, store.leaves,
            None if cross_entropy else store.compiler, training.chunk_widths,
            training.left_context + network.left_context,
            training.right_context + network.right_context,
            config.chain.tolerance, subsampling, inputs.seed, max_dropped, ivectors[data],
            None if margin < 0 else derivs, store.keep, store.nj,
        )  # fmt: skip

    loss: Loss = FrameLoss() if cross_entropy else chain
    # short utterances have no chunk
    limit = 1.0 if training.chunk_widths else MAX_DROPPED
    return (
        loss,
        aligned(inputs.data, inputs.aligned, limit),
        aligned(inputs.valid, inputs.valid_ali, 1.0),
    )


def ivector_readers(network: Network, *directories: str) -> dict[str, IvectorReader | None]:
    """Readers of the sets' i-vectors, by directory; None for a network that takes none.

    Raises:
        UsageError: there are none, or of another dimension than the xconfig says.
        UserError: they are damaged, or of different extractors.
    """
    if not network.ivector_dim:
        return dict.fromkeys(directories)
    readers = {directory: IvectorReader(directory) for directory in directories}
    first = readers[directories[0]]
    for reader in readers.values():
        if reader.dim != network.ivector_dim:
            raise UsageError(
                f"the xconfig's input name=ivector has dim={network.ivector_dim}, but "
                f"{reader.path} has i-vectors of {reader.dim}; write dim={reader.dim}"
            )
        if reader.extractor != first.extractor:
            raise UserError(
                f"{first.path} and {reader.path} are of different extractors; run `chainstitch "
                "ivectors extract` with one for both"
            )
    return dict(readers)
