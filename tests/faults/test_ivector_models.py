"""Models of i-vectors that cannot be: each is refused by name when it is loaded."""

from __future__ import annotations

import math

import pytest
import torch

from chainstitch.nnet.ivector.extractor import IvectorExtractor
from chainstitch.nnet.ivector.front_end import FrontEnd
from chainstitch.nnet.ivector.model import IvectorModel
from chainstitch.nnet.ivector.ubm import DiagonalUbm
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UserError

IVECTORS = {
    "a period of 0": (lambda s: s["constants"].update(period=0), "period wants"),
    "a period of 1.5": (lambda s: s["constants"].update(period=1.5), "period wants a whole"),
    "no Gaussians a frame": (lambda s: s["constants"].update(num_gselect=0), "num_gselect wants"),
    "a min_post of 2": (lambda s: s["constants"].update(min_post=2.0), "min_post wants"),
    "a scale that is NaN": (lambda s: s["constants"].update(posterior_scale=math.nan), "posterior"),
    "a name that is none": (lambda s: s["constants"].update(other=1), "other"),
    "a UBM of other dimensions": (
        lambda s: s.update(ubm=DiagonalUbm(*map(torch.ones, (2, (2, 5), (2, 5)))).state_dict()),
        "front end of 3 dimensions, UBM of",
    ),
    "an extractor of other Gaussians": (
        lambda s: s["extractor"].update(T=torch.ones(4, 3, 2), variances=torch.ones(4, 3)),
        "UBM of .* extractor of",
    ),
    "weights of other Gaussians": (lambda s: s["ubm"].update(weights=torch.ones(3)), "damaged"),
    "a mean that is NaN": (lambda s: s["front"]["mean"].fill_(math.nan), "not finite"),
    "means that are NaN": (lambda s: s["ubm"]["means"].fill_(math.nan), "not finite"),
    "a T that is infinite": (lambda s: s["extractor"]["T"].fill_(math.inf), "not finite"),
    "a transform that is a number": (lambda s: s["front"].update(transform=1.0), "damaged"),
    "a transform that is a vector": (lambda s: s["front"].update(transform=torch.ones(3)), "dama"),
}


@pytest.mark.parametrize("row", IVECTORS)
def test_an_ivector_model_that_cannot_be_is_refused(row, tmp_path):
    change, message = IVECTORS[row]
    ubm = DiagonalUbm(torch.ones(2) / 2, torch.zeros(2, 3), torch.ones(2, 3))
    front = FrontEnd(torch.zeros(1), torch.zeros(1), torch.ones(3, 3), 1, 100.0)
    IvectorModel(front, ubm, IvectorExtractor.initial(ubm, 2)).save(tmp_path)
    path = tmp_path / "ivector.pt"
    assert IvectorModel.load(tmp_path).period == 10
    state = checkpoint.load(path, keys=())
    change(state)
    checkpoint.save(state, path)
    with pytest.raises(UserError, match=message) as caught:
        IvectorModel.load(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
