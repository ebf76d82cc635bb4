"""Images on the device: augmentation against a loop over pixels, and its random numbers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch

from chainstitch.nnet.loss import ClassLoss, Outputs
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.optim import SGD, Backstitch
from chainstitch.nnet.tasks.image_examples import ImageExamples
from chainstitch.nnet.train.log import figures
from chainstitch.nnet.train.step import add_outcome
from chainstitch.utils.data.images import ImageSet


def images(count: int = 6, rows: int = 32, columns: int = 32) -> ImageSet:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, rows, columns, 3), np.uint8)
    return ImageSet(pixels, np.arange(count) % 3, ["a", "b", "c"])


def test_augmentation_is_flip_shift_and_nearest_padding_pixel_by_pixel():
    some = images(40, 5, 7)
    examples = ImageExamples(some, max_shift=3, flip=True)
    chosen = torch.randperm(40)
    torch.manual_seed(1)
    found = examples.images(chosen, augment=True)
    torch.manual_seed(1)
    draw = torch.rand(3, 40, 1)
    for n, image in enumerate(chosen.tolist()):
        flip, dy, dx = draw[0, n] < 0.5, *((2 * draw[1:, n, 0] - 1) * 3).round().int().tolist()
        for r in range(5):
            for c in range(7):
                row, column = min(max(r + dy, 0), 4), min(max(c + dx, 0), 6)
                pixel = some.pixels[image, row, 6 - column if flip else column] / 255
                assert torch.allclose(found[n, :, r, c], torch.tensor(pixel, dtype=torch.float32))


def test_shifts_are_uniform_and_rounded_so_that_the_ends_have_half_the_share():
    ramp = np.zeros((20_000, 1, 32, 3), np.uint8)
    ramp[:] = np.arange(32, dtype=np.uint8)[None, None, :, None]
    examples = ImageExamples(ImageSet(ramp, np.zeros(20_000, np.int64), ["a"]), max_shift=4)
    torch.manual_seed(0)
    middle = examples.images(torch.arange(20_000), augment=True)[:, 0, 0, 16] * 255
    shares = torch.bincount((middle.round().long() - 12), minlength=9) / 20_000
    expected = torch.tensor([0.0625] + [0.125] * 7 + [0.0625])
    assert torch.allclose(shares, expected, atol=0.01)


def test_evaluation_sees_the_images_as_they_are_and_draws_nothing():
    some = images()
    examples = ImageExamples(some, max_shift=4, flip=True)
    state = torch.get_rng_state()
    seen: list[torch.Tensor] = []
    network = WideResNet(3, (4, 4, 4), 4).eval()
    before = torch.get_rng_state()
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    examples.batch([4, 2]).outputs(network)
    assert torch.equal(before, torch.get_rng_state()) and not torch.equal(before, state)
    expected = torch.from_numpy(some.pixels[[4, 2]]).permute(0, 3, 1, 2) / 255
    assert torch.equal(seen[0], expected)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_both_steps_of_backstitch_see_the_same_augmented_minibatch():
    examples = ImageExamples(images(), max_shift=4, flip=True)
    network, loss = WideResNet(3, (4, 4, 4), 4), ClassLoss()
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    optimizer = Backstitch(SGD(network, 0.01), 0.5, 1, module=network)
    batch = examples.batch([0, 1, 2, 3])

    def closure() -> torch.Tensor:
        network.zero_grad()
        value = batch.outcome(network, loss, "cpu").value
        value.backward()
        return value

    torch.manual_seed(0)
    for _ in range(2):
        optimizer.step(closure)
    assert len(seen) == 4
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[1], seen[2])


def test_loss_is_summed_cross_entropy_and_its_figures_add_up():
    loss = ClassLoss()
    outputs, labels = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])
    found = loss.outcome(Outputs(outputs), labels)
    naive = [float(o[y] - o.exp().sum().log()) for o, y in zip(outputs, labels, strict=True)]
    assert float(found.value) == pytest.approx(-sum(naive)) == float(loss(outputs, labels))
    assert found.objective.tolist() == pytest.approx(naive) and found.count == 5
    right = sum(int(o.argmax()) == int(y) for o, y in zip(outputs, labels, strict=True))
    assert int(found.figures["accuracy"]) == right


def test_an_output_that_is_not_finite_counts_for_minus_ten_and_is_said():
    outputs = torch.zeros(3, 2)
    outputs[1, 0] = torch.nan
    found = ClassLoss().outcome(Outputs(outputs), torch.tensor([0, 1, 1]))
    assert torch.isnan(found.value)
    sums: dict[str, float | torch.Tensor] = defaultdict(float)
    add_outcome(sums, found)
    row = figures({name: float(value) for name, value in sums.items()}, "image")
    assert row["train_objf"] * 3 == pytest.approx(-10 - 2 * np.log(2)) and row["nonfinite"] == 1


def test_autocast_runs_the_network_in_bfloat16_and_leaves_gradients_in_float32():
    examples = ImageExamples(images())
    network, loss = WideResNet(3, (4, 4, 4), 4), ClassLoss()
    network.bf16 = True
    kinds: list[torch.dtype] = []
    network.third[1].convolutions[0].register_forward_hook(lambda *a: kinds.append(a[2].dtype))
    outcome = examples.batch([0, 1, 2]).outcome(network, loss, "cpu")
    outcome.value.backward()
    assert kinds == [torch.bfloat16] and outcome.objective.dtype == torch.float32
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in network.parameters())
