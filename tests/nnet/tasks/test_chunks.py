"""Chunks with what surrounds them: targets in their place, outputs as in the whole utterance."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import (
    NumeratorBatch,
    NumeratorCompiler,
    graph_file,
    monophones,
    numerator_forward_backward,
)
from chainstitch.nnet.loss import FrameLabels
from chainstitch.nnet.nets import Network
from chainstitch.nnet.tasks.chunks import ChunkExamples
from chainstitch.utils.data.alignments import AlignmentFile, read_alignments, write_alignments
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.directory import read_lang
from tests.toy import XCONFIG, Toy, align_evenly


@pytest.fixture
def alignments(toy: Toy, tmp_path: Path) -> dict[str, list[tuple[int, int]]]:
    return align_evenly(toy, toy.train, tmp_path / "ali")


def make(toy, alignments, compiler=None, **options):
    return ChunkExamples(FeatureReader(toy.train), alignments, monophones(4), compiler, **options)


def network_of(outputs=8):
    torch.manual_seed(0)
    network = Network(XCONFIG, outputs)
    torch.nn.init.normal_(network.layers["output"].weight, std=0.3)
    return network.eval()


def test_outputs_of_chunks_are_those_of_the_whole_utterance(toy, alignments):
    network = network_of()
    context = {"left": network.left_context, "right": network.right_context}
    chunks = make(toy, alignments, widths="40,25", **context)
    whole = make(toy, alignments)
    assert len(whole) == 24 < len(chunks) and chunks.num_utterances == 24
    with torch.no_grad():
        everything = {}
        for i, chunk in enumerate(whole.chunks):
            outputs, lengths = whole.batch([i]).outputs(network, "cpu")
            assert lengths.tolist() == [chunk.length]
            everything[chunk.cut.id] = outputs[0]
        batch = chunks.batch(range(len(chunks)))
        outputs, lengths = batch.outputs(network, "cpu")
    assert batch.count == int(lengths.sum()) == int(chunks.frames.sum()) // 3
    for i, chunk in enumerate(chunks.chunks):
        wanted = everything[chunk.cut.id][chunk.first : chunk.first + chunk.length]
        torch.testing.assert_close(outputs[i, : lengths[i]], wanted, atol=1e-5, rtol=1e-5)


LSTM = """
input name=input dim=13
fast-lstmp-layer name=lstm cell-dim=12 delay=-3 decay-time=20
output-layer name=output
"""


def test_a_memory_filled_by_left_context_is_that_of_the_whole_utterance(toy, alignments):
    torch.manual_seed(0)
    network = Network(LSTM, 8).eval()
    torch.nn.init.normal_(network.layers["output"].weight)
    whole, errors = make(toy, alignments), []
    with torch.no_grad():
        everything = {
            chunk.cut.id: whole.batch([i]).outputs(network, "cpu")[0][0]
            for i, chunk in enumerate(whole.chunks)
        }
        for left in (0, 12, 39, 999):
            chunks = make(toy, alignments, widths="25", left=left, right=network.right_context)
            outputs, lengths = chunks.batch(range(len(chunks))).outputs(network, "cpu")
            inner = [i for i, chunk in enumerate(chunks.chunks) if chunk.first > 15]
            assert inner
            errors.append(
                max(
                    float((outputs[i, : lengths[i]] - everything[c.cut.id][c.first :][: c.length])
                    .abs().max())
                    for i in inner for c in [chunks.chunks[i]]
                )
            )  # fmt: skip
    assert errors[0] > 3 * errors[1] > 9 * errors[2]  # it forgets
    assert errors[3] < 1e-5


def test_context_is_as_long_as_asked_for_and_as_there_is(toy, alignments):
    chunks = make(toy, alignments, widths="25", left=20, right=7)
    batch = chunks.batch(range(len(chunks)))
    for i, chunk in enumerate(chunks.chunks):
        total = chunk.cut.features.num_frames
        start = max(0, 3 * chunk.first - 21)  # whole output frames
        end = min(total, 3 * (chunk.first + chunk.length) + 7)
        assert (int(batch.lengths[i]), int(batch.first[i])) == (
            end - start,
            chunk.first - start // 3,
        )
        features = torch.from_numpy(chunks.reader.load(chunk.cut))
        assert torch.equal(batch.features[i, : end - start], features[start:end])


def test_targets_are_numerators_or_labels(toy, alignments):
    labels = make(toy, alignments, widths="40,25").batch([3, 0]).targets
    assert isinstance(labels, FrameLabels) and len(labels.names) == 2
    chunks = make(toy, alignments, toy.store().compiler, widths="40,25")
    batch = chunks.batch(range(len(chunks)))
    assert isinstance(batch.targets, NumeratorBatch)
    log_z, _ = numerator_forward_backward(
        batch.targets, torch.zeros(len(chunks), int(batch.num_outputs.max()), 8), batch.num_outputs
    )
    assert torch.isfinite(log_z).all()


def test_the_cut_depends_on_the_seed_alone(toy, alignments):
    one, same, other = (make(toy, alignments, widths="40,25", seed=s).chunks for s in (1, 1, 2))
    places = [[(c.cut.id, c.first, c.length) for c in chunks] for chunks in (one, same, other)]
    assert places[0] == places[1] != places[2]


def test_label_counts_are_those_of_the_labels(toy, alignments):
    chunks = make(toy, alignments)
    counts = chunks.label_counts(8)
    assert int(counts.sum()) == int(chunks.frames.sum()) // 3
    assert int(counts[0]) == sum(np.count_nonzero(c.target == 0) for c in chunks.chunks) > 0


def test_what_cannot_be_used_is_dropped_by_name(toy, alignments, caplog):
    names = sorted(alignments)
    del alignments[names[0]]
    alignments[names[1]] = alignments[names[1]][:-1]
    with caplog.at_level(logging.WARNING):
        chunks = make(toy, alignments, max_dropped=0.5)
    assert chunks.dropped == {
        "it has no alignment": [names[0]],
        "its alignment has another number of frames": [names[1]],
    }
    assert f"as it has no alignment: {names[0]}" in caplog.text
    with pytest.raises(
        UserError, match=r"24 of 24 utterances cannot be used \(mostly: it is short"
    ):
        make(toy, dict.fromkeys(names, ((1, 1),)) | alignments_of(toy, chunks), widths="9000")


def alignments_of(toy, chunks):
    """One phone for the whole of each utterance."""
    return {cut.id: [(1, cut.features.num_frames)] for cut in chunks.reader.cuts}


@pytest.mark.parametrize("widths", ["", "40,25"])
@pytest.mark.parametrize("with_labels", [False, True])
def test_kept_chunks_are_those_of_the_memory(
    toy, alignments, tmp_path, monkeypatch, widths, with_labels
):
    phones = read_lang(toy.lang).phones
    lines = gzip.decompress((tmp_path / "ali" / "ali.gz").read_bytes()).decode().splitlines()
    lines[3] = lines[3].replace(" ; ", " ; SIL 200 ; ", 1)  # another number of frames
    text = "".join(line + "\n" for line in lines[:7] + lines[8:])  # and one without any
    (tmp_path / "ali" / "ali.gz").write_bytes(gzip.compress(text.encode()))
    compiler = None if with_labels else toy.store().compiler
    options = {"widths": widths, "max_dropped": 1.0, "left": 9, "tolerance": 2}
    plain = make(toy, read_alignments(tmp_path / "ali" / "ali.gz", phones), compiler, **options)
    assert plain.dropped
    if not with_labels:
        monkeypatch.setattr(graph_file, "PARALLEL", 2)
    for time in range(3):
        file = AlignmentFile(tmp_path / "ali" / "ali.gz", phones)
        kept = make(toy, file, compiler, **options, keep=tmp_path / "kept", nj=2 - time % 2)
        assert ("_read" in vars(file)) == (time == 0)
        assert (list(kept.dropped.items()), str(kept)) == (list(plain.dropped.items()), str(plain))
        one, other = (examples.batch(range(len(plain))) for examples in (kept, plain))
        assert torch.equal(one.features, other.features) and torch.equal(
            one.num_outputs, other.num_outputs
        )
        assert one.targets.names == other.targets.names
        if with_labels:
            assert torch.equal(one.targets.pdfs, other.targets.pdfs)
            assert torch.equal(kept.label_counts(8), plain.label_counts(8))
        else:
            for name, theirs in vars(other.targets.layout).items():
                assert torch.equal(getattr(one.targets.layout, name), theirs)
        monkeypatch.setattr(NumeratorCompiler, "compile", None)  # nobody does any more
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_other_makings_are_kept_apart(toy, alignments, tmp_path):
    phones = read_lang(toy.lang).phones
    file = AlignmentFile(tmp_path / "ali" / "ali.gz", phones)
    for options in (
        {}, {"seed": 1}, {"widths": "40"}, {"widths": "40,25"}, {"compiler": toy.store().compiler},
        {"compiler": toy.store().compiler, "tolerance": 3}, {"left": 7},
    ):  # fmt: skip
        make(toy, file, keep=tmp_path / "kept", **options)
    assert len(list((tmp_path / "kept").iterdir())) == 6  # left and right make no difference
    write_alignments(
        tmp_path / "ali" / "ali.gz", dict(list(alignments.items())[1:]),
        {number: name for name, number in phones.items()},
    )  # fmt: skip
    file = AlignmentFile(tmp_path / "ali" / "ali.gz", phones)
    assert len(make(toy, file, keep=tmp_path / "kept")) == 23
