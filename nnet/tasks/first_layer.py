"""The LDA-like first layer of a speech network, estimated on alignments before training begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from chainstitch.nnet.loss import FrameLabels
from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.lda import LAYER, estimate_lda
from chainstitch.nnet.tasks.chunks import ChunkExamples
from chainstitch.nnet.tasks.speech_config import SpeechConfig, SpeechInputs
from chainstitch.nnet.tasks.speech_data import ivector_readers
from chainstitch.utils.data.alignments import FILE as ALIGNMENTS
from chainstitch.utils.data.alignments import AlignmentFile
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.errors import UsageError
from chainstitch.utils.hmm.topology import Leaves
from chainstitch.utils.lang.directory import PHONES, read_table

LDA_UTTERANCES = 10_000  # at most, spread over the set; Kaldi takes some archives of examples
LDA_BATCH = 64


def estimate_first_layer(
    config: SpeechConfig, inputs: SpeechInputs, leaves: Leaves, network: Network
) -> None:
    """Estimates the network's fixed-affine-layer, if it has one, on alignments (lda.py).

    Raises:
        UsageError: it has one, and there are no alignments.
        UserError: the data are damaged or too few.
    """
    if not any(node.kind == LAYER for node in network.nodes):
        return
    if not inputs.aligned:
        raise UsageError(
            f"the xconfig's {LAYER} is estimated from alignments; give --ali DIR (`chainstitch "
            "align` makes it), or leave the layer out"
        )
    phones = read_table(Path(inputs.lang) / PHONES)
    examples = ChunkExamples(
        FeatureReader(inputs.data), AlignmentFile(Path(inputs.aligned) / ALIGNMENTS, phones),
        leaves, None, subsampling=config.network.subsampling, seed=inputs.seed,
        ivectors=ivector_readers(network, inputs.data)[inputs.data],
    )  # fmt: skip
    chosen = np.linspace(0, len(examples) - 1, min(len(examples), LDA_UTTERANCES)).astype(int)

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor | None, Tensor]]:
        for begin in range(0, len(chosen), LDA_BATCH):
            batch = examples.batch(chosen[begin : begin + LDA_BATCH].tolist())
            assert isinstance(batch.targets, FrameLabels)
            # what lda.py leaves out is below 0, as NO_LABEL is
            yield batch.features, batch.lengths, batch.ivectors, batch.targets.pdfs

    device = next(network.parameters()).device
    network.cpu()
    estimate_lda(network, batches())
    network.to(device)
