"""From features to i-vectors: online and offline agree, silence says nothing, NaN is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.nnet.ivector import model as ivector_model
from chainstitch.nnet.ivector.extractor import IvectorExtractor
from chainstitch.nnet.ivector.front_end import FrontEnd, Utterances, estimate_pca
from chainstitch.nnet.ivector.model import IvectorModel
from chainstitch.nnet.ivector.ubm import DiagonalUbm
from chainstitch.utils.errors import UserError
from tests.reference import ivector as reference

DIM, PCA, GAUSS, D = 5, 6, 8, 4
SILENCE = np.full(DIM, -9.0, dtype=np.float32)


def speech(frames: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, DIM)).astype(np.float32)


@pytest.fixture
def model() -> IvectorModel:
    g = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=g)

    front = FrontEnd(normal(DIM), torch.from_numpy(SILENCE), normal(PCA, 7 * DIM) / 4, 3, 20.0)
    ubm = DiagonalUbm(
        torch.full((GAUSS,), 1 / GAUSS), normal(GAUSS, PCA), 1 + normal(GAUSS, PCA) ** 2
    )
    extractor = IvectorExtractor(normal(GAUSS, PCA, D), 1 + normal(GAUSS, PCA) ** 2, 3.0)
    return IvectorModel(front, ubm, extractor, num_gselect=3, max_count=4.0)


def twin(model: IvectorModel, group: Utterances, online: bool) -> list[np.ndarray]:
    """The i-vectors of the twin, from the model's own frames; without remembering too much."""
    streams = list(model.front.streams(group))
    ubm, extractor = model.ubm, model.extractor
    found, before = [], 0
    x = torch.cat([s.plain for s in streams]).numpy()
    r = reference.posteriors(
        torch.cat([s.normalised for s in streams]).numpy(),
        ubm.weights.numpy(), ubm.means.numpy(), ubm.variances.numpy(), 3, 0.025,
    )  # fmt: skip
    for (_, raw), stream in zip(group, streams, strict=True):
        rows = []
        for last in range(0, len(raw), 10) if online else [len(raw) - 1]:
            seen = before + int((stream.times <= last).sum())
            gamma, f, _ = reference.statistics(x[:seen], r[:seen], 0.1)
            row, _ = reference.posterior_of_x(
                extractor.T.numpy(), extractor.variances.numpy(), 3.0, gamma, f, 4.0
            )
            row[0] -= 3.0
            rows.append(row)
        before += len(stream.times)
        found.append(np.array(rows))
    return found


@pytest.mark.parametrize("segments", [3, 128])
def test_online_equals_the_twin_across_utterances(
    model: IvectorModel, segments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ivector_model, "SEGMENTS", segments)
    monkeypatch.setattr(ivector_model, "CHUNK", 16)
    silent = speech(40, 3)
    silent[12:31] = SILENCE
    group = [("a", speech(57, 1)), ("b", speech(1, 2)), ("c", silent), ("d", speech(31, 4))]
    found = model.online(group)
    assert [len(x) for x in found] == [6, 1, 4, 4]
    for ours, theirs in zip(found, twin(model, group, True), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_array_equal(found[2][2], found[2][3])  # only silence between them


def test_offline_equals_the_twin_in_any_grouping(
    model: IvectorModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ivector_model, "SEGMENTS", 2)
    utterances = [(str(n), speech(20 + n, n)) for n in range(5)]
    groups = [utterances[:1], utterances[1:4], utterances[4:]]
    found = model.offline(groups)
    assert found.shape == (3, D) and found.dtype == np.float32
    for row, group in zip(found, groups, strict=True):
        np.testing.assert_allclose(row, twin(model, group, False)[-1][0], atol=1e-5)


def test_online_at_the_end_is_offline(model: IvectorModel) -> None:
    for frames in (1, 11, 101):
        utterance = [("u", speech(frames, frames))]
        np.testing.assert_allclose(
            model.online(utterance)[0][-1], model.offline([utterance])[0], atol=1e-6
        )


def test_what_comes_later_changes_nothing_before(model: IvectorModel) -> None:
    raw = speech(80, 1)
    other = raw.copy()
    other[44:] += 1  # 3 frames behind 40 are spliced to it
    one, two = model.online([("u", raw)])[0], model.online([("u", other)])[0]
    np.testing.assert_array_equal(one[:5], two[:5])
    assert np.abs(one[5] - two[5]).max() > 1e-3


def test_memory_of_a_speaker_is_bounded(model: IvectorModel) -> None:
    model.constants["max_remembered_frames"] = 0.0
    group = [("a", speech(50, 1)), ("b", speech(30, 2))]
    alone = model.online(group[1:])[0]
    # the causal mean still knows the first utterance, so only statistics start afresh
    model.front.prior_frames = 1e9
    alone, after = model.online(group[1:])[0], model.online(group)[1]
    np.testing.assert_allclose(after, alone, atol=1e-5)


def test_silence_has_the_i_vector_zero(model: IvectorModel) -> None:
    silent = [("s", np.repeat(SILENCE[None], 25, 0))]
    np.testing.assert_array_equal(model.online(silent)[0], np.zeros((3, D), np.float32))
    np.testing.assert_array_equal(model.offline([silent]), np.zeros((1, D), np.float32))
    mixed = model.offline([silent, [("a", speech(20, 0))], silent])
    np.testing.assert_array_equal(mixed[[0, 2]], np.zeros((2, D), np.float32))
    np.testing.assert_allclose(mixed[1], model.offline([[("a", speech(20, 0))]])[0], atol=1e-6)


@pytest.mark.parametrize("online", [True, False])
def test_bad_features_are_refused_by_name(model: IvectorModel, online: bool) -> None:
    raw = speech(20, 0)
    raw[3, 2], raw[4, 1] = np.nan, np.inf
    for bad, message in (
        (raw, "utterance bad-one: 2 features are not finite"),
        (raw[:, :4], r"utterance bad-one: features \(20, 4\), wanted \(1 or more, 5\)"),
        (raw[:0], r"utterance bad-one: features \(0, 5\)"),
    ):
        group = [("good", speech(9, 1)), ("bad-one", bad)]
        with pytest.raises(UserError, match=message):
            model.online(group) if online else model.offline([group])


def test_saved_model_says_the_same(model: IvectorModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = IvectorModel.load(tmp_path)
    group = [("a", speech(30, 0)), ("b", speech(20, 1))]
    for one, other in zip(model.online(group), again.online(group), strict=True):
        np.testing.assert_array_equal(one, other)
    (tmp_path / "ivector.pt").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="ivector.pt"):
        IvectorModel.load(tmp_path)
    with pytest.raises(UserError, match="has no ivector.pt; give a directory"):
        IvectorModel.load(tmp_path / "elsewhere")


def test_pca_makes_variances_one_and_decorrelates() -> None:
    x = torch.from_numpy(speech(500, 0)).double() @ torch.randn(
        DIM, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    transform = estimate_pca(lambda: iter(x.split(70)), 3)
    y = (x - x.mean(0)) @ transform.T
    assert torch.allclose(y.T @ y / 500, torch.eye(3).double(), atol=1e-9)
    flat = torch.cat([x, x[:, :1]], 1)
    with pytest.raises(UserError, match="vary in 5 directions, pca_dim = 6; set pca_dim = 5"):
        estimate_pca(lambda: iter([flat]), 6)
    with pytest.raises(UserError, match="all frames are digital silence"):
        estimate_pca(lambda: iter([]), 2)
