"""Cross-entropy by frame: its value and gradient by hand, labels from alignments, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import Leaves, monophones
from chainstitch.nnet.loss import FrameLabels, FrameLoss
from chainstitch.nnet.loss.frame import NO_LABEL, frame_labels
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.nnet.loss.outcome import Outputs

PDFS = torch.tensor([[0, 2, 1], [1, NO_LABEL, NO_LABEL]])


def test_it_is_the_summed_log_probability_of_the_labels():
    y = torch.tensor([[[1.0, 2, 3], [0, 0, 5], [1, 1, 1]], [[3, 0, 0], [9, 9, 9], [9, 9, 9]]])
    y.requires_grad_()
    loss = FrameLoss()
    found = loss.outcome(Outputs(y, torch.tensor([3, 1])), FrameLabels(PDFS))
    value = loss(y, torch.tensor([3, 1]), FrameLabels(PDFS))
    each = [1 - math.log(sum(map(math.exp, (1, 2, 3)))), 5 - math.log(2 + math.exp(5))]
    first = sum(each) + math.log(1 / 3)
    second = -math.log(math.exp(3) + 2)
    assert found.objective.tolist() == pytest.approx([first, second], abs=1e-6)
    assert value.item() == pytest.approx(-first - second, abs=1e-5)
    assert found.value.item() == value.item() and found.count == 4
    assert found.figures == {"accuracy": 1}
    value.backward()
    wanted = y.detach().softmax(2)
    wanted[0, [0, 1, 2], [0, 2, 1]] -= 1
    wanted[1, 0, 1] -= 1
    wanted[1, 1:] = 0
    torch.testing.assert_close(y.grad, wanted)


def test_output_that_is_not_finite_names_its_utterance():
    y = torch.zeros(2, 3, 3)
    y[1, 0, 2] = math.nan
    with pytest.raises(NonFiniteError, match="for two holds a NaN") as caught:
        FrameLoss()(y, torch.tensor([3, 1]), FrameLabels(PDFS, ["one", "two"]))
    assert caught.value.sequences == [1]


def test_labels_of_other_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"lengths \[3, 2\] for labels of lengths \[3, 1\]"):
        FrameLoss()(torch.zeros(2, 3, 3), torch.tensor([3, 2]), FrameLabels(PDFS))
    with pytest.raises(ValueError, match="labels"):
        FrameLoss()(torch.zeros(2, 4, 3), torch.tensor([3, 1]), FrameLabels(PDFS))


def test_labels_are_the_pdfs_in_the_middle_of_output_frames():
    # input frames: 1 1 1 1 | 2 2 | 1 | 2 2 2 2; the middle ones are 1, 4, 7 and 10
    labels = frame_labels([1, 2, 1, 2], [4, 2, 1, 4], monophones(2))
    assert labels.tolist() == [0, 2, 2, 3]  # the phone of one frame is in no middle
    assert frame_labels([1], [7], monophones(2)).tolist() == [0, 1, 1]
    every = frame_labels([1, 2, 1], [2, 1, 2], monophones(2), subsampling=1)
    assert every.tolist() == [0, 1, 2, 0, 1]


def test_labels_know_the_phones_around():
    table = np.arange(3 * 2 * 2).reshape(3, 2, 1, 2)  # [left, phone - 1] -> entry, loop
    labels = frame_labels([2, 1, 1], [3, 6, 3], Leaves(table, 12))
    assert labels.tolist() == [2, 8, 9, 4]
    table = np.arange(3 * 2 * 3 * 2).reshape(3, 2, 3, 2)  # and by the phone behind
    labels = frame_labels([2, 1, 1], [3, 6, 3], Leaves(table, 36))
    assert labels.tolist() == [8, 26, 27, 12]
