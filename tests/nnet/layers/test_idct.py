"""The inverse DCT undoes what the feature extractor did."""

from __future__ import annotations

import pytest
import torch
from lhotse.features.kaldi.extractors import Fbank, FbankConfig, Mfcc, MfccConfig

from chainstitch.nnet.layers import InverseDCT


@pytest.mark.parametrize("bins", [23, 40])
def test_mfcc_become_the_log_mel_energies_they_were_made_from(bins: int) -> None:
    samples = torch.randn(8000, generator=torch.Generator().manual_seed(0)).numpy() * 0.1
    mfcc = Mfcc(MfccConfig(num_filters=bins, num_ceps=bins)).extract(samples, 16000)
    energies = Fbank(FbankConfig(num_filters=bins)).extract(samples, 16000)
    back = InverseDCT(bins)(torch.as_tensor(mfcc))
    torch.testing.assert_close(back, torch.as_tensor(energies), rtol=1e-5, atol=1e-4)


def test_without_lifter_it_is_orthonormal() -> None:
    matrix = InverseDCT(40, lifter=0.0).matrix
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(40), rtol=0, atol=1e-6)
