"""`chainstitch ivectors` at the terminal, and i-vectors in batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from chainstitch.nnet.tasks.chunks import ChunkExamples
from chainstitch.nnet.tasks.utterances import ChainExamples
from chainstitch.utils.data.alignments import FILE, read_alignments
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import STORE, IvectorReader
from chainstitch.utils.data.manifests import cut_speaker
from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.directory import read_lang
from tests.toy import Toy, align_evenly, run

CONF = "num_gauss = 8\ndim = 5\npca_dim = 10\nubm_iterations = 5\niterations = 4\n"


@pytest.fixture(scope="module")
def exp(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the toy's training set."""
    place = tmp_path_factory.mktemp("ivectors")
    (place / "conf.toml").write_text(CONF)
    out = place / "exp"
    assert run("ivectors", "train", place / "conf.toml", "--data", toy.train, "--out", out) == 0
    return out


def test_training_is_logged_repeatable_and_refused_twice(
    toy: Toy, exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
    for model, number in (("ubm", 5), ("extractor", 4)):
        seen = [line["objective"] for line in lines if line["model"] == model]
        assert len(seen) == number and seen == sorted(seen)
    receipt = json.loads((exp / "receipt.json").read_text())
    assert receipt["utterances"] == 24 and "torch" in receipt["environment"]
    command = ("ivectors", "train", exp.parent / "conf.toml", "--data", toy.train, "--out")
    assert run(*command, exp) == 2
    assert "--overwrite" in capsys.readouterr().err
    again = exp.parent / "again"
    assert run(*command, again) == 0
    one, other = (torch.load(p / "ivector.pt", weights_only=True) for p in (exp, again))
    assert torch.equal(one["extractor"]["T"], other["extractor"]["T"])
    assert run(*command, exp.parent / "no", "--set", "num_gaus=4") == 2
    assert "did you mean 'num_gauss'?" in capsys.readouterr().err
    assert run(*command, exp.parent / "no", "--set", "min_post=0.7") == 2
    assert run(*command, exp.parent / "no", "--set", "pca_dim=1000") == 1
    assert not (exp.parent / "no").exists()


def test_kept_and_recomputed_statistics_give_one_model(
    toy: Toy, exp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainstitch.nnet.ivector.sets.KEEP_BYTES", 0)
    out = exp.parent / "recomputed"
    assert (
        run("ivectors", "train", exp.parent / "conf.toml", "--data", toy.train, "--out", out) == 0
    )
    one, other = (torch.load(p / "ivector.pt", weights_only=True) for p in (exp, out))
    assert torch.equal(one["extractor"]["T"], other["extractor"]["T"])


def test_every_kind_of_extraction(toy: Toy, exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = FeatureReader(toy.train)
    kinds = {
        "plain": (), "online": ("--online",), "speaker": ("--per-speaker",),
        "carried": ("--online", "--per-speaker"),
        "pairs": ("--online", "--per-speaker", "--utterances", 2),
    }  # fmt: skip
    found = {}
    for name, options in kinds.items():
        out = exp.parent / f"{name}.h5"
        command = ("ivectors", "extract", exp, "--data", toy.train, "--out", out, *options)
        assert run(*command) == 0
        assert f"{out}: i-vectors of {len(reader.cuts)} utterances" in capsys.readouterr().out
        assert run(*command) == 2
        capsys.readouterr()
        found[name] = IvectorReader(out)
        found[name].check([cut.id for cut in reader.cuts])
    assert {name: r.period for name, r in found.items()} == {
        "plain": 0, "online": 10, "speaker": 0, "carried": 10, "pairs": 10
    }  # fmt: skip
    seen: dict[str, int] = {}
    for cut in reader.cuts:
        nth = seen[cut_speaker(cut)] = seen.get(cut_speaker(cut), -1) + 1
        at_start = {name: r.load(cut.id, 0) for name, r in found.items()}
        same = {
            name: np.array_equal(at_start["online"], at_start[name])
            for name in ("carried", "pairs")
        }
        assert same == {"carried": nth == 0, "pairs": nth % 2 == 0}
        first = next(c for c in reader.cuts if cut_speaker(c) == cut_speaker(cut))
        np.testing.assert_array_equal(at_start["speaker"], found["speaker"].load(first.id))
        # the last estimate has not seen the last frames
        near = np.linalg.norm(found["online"].load(cut.id) - found["plain"].load(cut.id))
        assert near < 0.5 * np.linalg.norm(found["plain"].load(cut.id))


def test_options_and_features_that_do_not_fit(
    own: Toy, exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("ivectors", "extract", exp, "--data", own.dev)
    assert run(*command, "--utterances", 2) == 2
    assert "together with --per-speaker" in capsys.readouterr().err
    toml = own.dev / "features.toml"
    toml.write_text(toml.read_text().replace("low_freq = 20.0", "low_freq = 40.0"))
    assert run(*command) == 2
    assert "has low_freq = 40.0" in capsys.readouterr().err
    assert run("ivectors", "extract", own.dev, "--data", own.train) == 1
    assert "has no ivector.pt" in capsys.readouterr().err
    assert not (own.dev / STORE).exists()


def test_damaged_features_are_named(
    own: Toy, exp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import h5py

    cut = FeatureReader(own.dev).cuts[1]
    with h5py.File(own.dev / "feats/feats.h5", "a") as file:
        file[cut.features.storage_key][3] = np.nan
    assert run("ivectors", "extract", exp, "--data", own.dev) == 1
    assert f"of cut {cut.id} are not finite" in capsys.readouterr().err
    assert not (own.dev / STORE).exists()


class Spy(nn.Module):
    """Remembers what it was called with."""

    def forward(self, features, lengths, shift=0, ivectors=None):
        self.ivectors = ivectors
        return features[:, ::3], -(-lengths // 3)


def test_whole_utterances_come_with_their_last_estimate(own: Toy, exp: Path) -> None:
    assert run("ivectors", "extract", exp, "--data", own.train, "--online") == 0
    reader = IvectorReader(own.train)
    plain = own.examples()
    examples = ChainExamples(plain.reader, plain.store, ivectors=reader)
    examples.check_features()
    with_, without = examples.batch([3, 0]), plain.batch([3, 0])
    assert without.ivectors is None and with_.ivectors is not None
    assert torch.equal(with_.features, without.features)
    for row, i in zip(with_.ivectors, (3, 0), strict=True):
        np.testing.assert_array_equal(row.numpy(), reader.load(examples.cuts[i].id))
    spy = Spy()
    without.outputs(spy, "cpu")
    assert spy.ivectors is None
    with_.outputs(spy, "cpu")
    assert torch.equal(spy.ivectors, with_.ivectors)


def test_chunks_come_with_the_estimate_at_one_of_their_frames(own: Toy, exp: Path) -> None:
    assert run("ivectors", "extract", exp, "--data", own.train, "--online") == 0
    align_evenly(own, own.train, own.place / "ali")
    phones = read_lang(own.lang).phones
    alignments = read_alignments(own.place / "ali" / FILE, phones)
    store, reader = own.store(), IvectorReader(own.train)

    def examples(seed: int, ivectors: IvectorReader | None) -> ChunkExamples:
        return ChunkExamples(
            FeatureReader(own.train), alignments, store.leaves, None, "21,12",
            seed=seed, max_dropped=1.0, ivectors=ivectors,
        )  # fmt: skip

    one, plain, other = examples(0, reader), examples(0, None), examples(1, reader)
    one.check_features()
    indices = range(len(one))
    assert [c[:3] for c in one.chunks] == [c[:3] for c in plain.chunks]
    assert plain.batch(indices).ivectors is None
    batch = one.batch(indices)
    assert batch.ivectors is not None
    assert torch.equal(batch.features, plain.batch(indices).features)
    assert torch.equal(batch.ivectors, examples(0, reader).batch(indices).ivectors)
    assert not np.array_equal(one._ivector_frames, other._ivector_frames[: len(one)])
    for chunk, row in zip(one.chunks, batch.ivectors, strict=True):
        begin = 3 * chunk.first
        wanted = [reader.load(chunk.cut.id, t) for t in range(begin, begin + 3 * chunk.length)]
        assert any(np.array_equal(row.numpy(), w) for w in wanted)


def test_set_without_its_i_vectors_is_refused(own: Toy, exp: Path) -> None:
    assert run("ivectors", "extract", exp, "--data", own.dev) == 0
    plain = own.examples()
    with pytest.raises(UserError, match="lacks utterance"):
        ChainExamples(plain.reader, plain.store, ivectors=IvectorReader(own.dev))
