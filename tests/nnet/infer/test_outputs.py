"""What a network says of an utterance, whole and by chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chainstitch.nnet.infer.outputs import Pieces, ScaledLikelihoods, log_likes
from chainstitch.nnet.nets.network import Network

TDNN = """
input name=input dim=4
relu-batchnorm-layer name=a dim=6 input=Append(-2,0,1)
relu-batchnorm-layer name=b dim=6 input=Append(-3,0,3)
output-layer name=output
"""
LSTM = """
input name=input dim=4
relu-batchnorm-layer name=a dim=6 input=Append(-1,0,1)
fast-lstmp-layer name=l cell-dim=6 recurrent-projection-dim=3 delay=-3
output-layer name=output
"""
LENGTHS = [50, 1, 33, 30]


def _model(text: str) -> Network:
    torch.manual_seed(1)
    model = Network(text, 5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def _features() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(frames, 4)).astype(np.float32) for frames in LENGTHS]


@pytest.mark.parametrize("chunk", [1, 10, 12, 33, 500])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_network_without_memory_says_the_same_by_chunks(chunk: int, scaled: bool) -> None:
    network = _model(TDNN)
    model = ScaledLikelihoods(network, torch.zeros(5), 0.1) if scaled else network
    whole = log_likes(model, _features())
    found = log_likes(model, _features(), None, Pieces(chunk))
    assert [len(x) for x in found] == [-(-n // 3) for n in LENGTHS]
    for one, other in zip(whole, found, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)


def test_a_memory_begins_where_the_extra_frames_do() -> None:
    model = _model(LSTM)
    (features, *_) = _features()
    (found,) = log_likes(model, [features], None, Pieces(10, 7, 0))  # 12 frames, 9 before
    for first, begin in ((0, 0), (12, 3), (24, 15), (36, 27), (48, 39)):
        (alone,) = log_likes(model, [features[begin : first + 12 + model.right_context]])
        at = (first - begin) // 3
        np.testing.assert_allclose(
            found[first // 3 : first // 3 + 4], alone[at : at + 4], atol=1e-5
        )
    (whole,) = log_likes(model, [features])
    assert np.abs(found - whole)[4:].max() > 1e-3
    np.testing.assert_allclose(found[:4], whole[:4], atol=1e-5)  # nothing is before the first
