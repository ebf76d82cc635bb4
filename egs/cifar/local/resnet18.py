"""Natural gradient, max-change and backstitch around a ResNet-18 as torchvision builds them.

Nothing of a recipe is needed: any network, any loop. The three lines that matter are marked.

    python local/resnet18.py data/cifar10/train --steps 200

Prints the mean log-likelihood of every ten minibatches. What it reaches was not measured.
"""

import argparse

import torch
from torch import nn

from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient
from chainstitch.nnet.tasks.image_examples import ImageExamples
from chainstitch.utils.data.images import read_images


class Block(nn.Module):
    """Two 3x3 convolutions with batch-norm, and a skip around them."""

    def __init__(self, dim: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(dim, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.skip = nn.Sequential()
        if stride != 1 or dim != out:
            self.skip = nn.Sequential(
                nn.Conv2d(dim, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, dim, rows, columns) -> (batch, out, rows / stride, columns / stride)."""
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.skip(x)).relu()


def resnet18(width: int = 64, classes: int = 10) -> nn.Sequential:
    """For images of 32 x 32: the first convolution is 3x3, and there is no pooling after it."""
    dims = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)]
    dims.append((4 * width, 8 * width, 2))
    blocks = [b for d, out, s in dims for b in (Block(d, out, s), Block(out, out, 1))]
    first = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes)
    return nn.Sequential(*first, *blocks, *last)


def main() -> None:
    """Trains on a directory that `chainstitch prepare cifar10` wrote."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    images = ImageExamples(read_images(options.data), device, max_shift=4, flip=True)
    model = resnet18(options.width).to(device, memory_format=torch.channels_last)
    natural_gradient = NaturalGradient(model)  # 1: on every convolution and the last layer
    sgd = SGD(model, lr=1e-3)  # 2: with max-change; for gradients that are summed
    optimizer = Backstitch(sgd, 0.5, 1, natural_gradient, model)  # 3: alpha, m
    total = 0.0
    for step in range(1, options.steps + 1):
        batch = images.batch(torch.randint(len(images), (options.batch,)).tolist())

        def closure(batch=batch) -> torch.Tensor:
            model.zero_grad()
            outputs, labels = batch.outputs(model), images.labels[batch.chosen]
            loss = nn.functional.cross_entropy(outputs.float(), labels, reduction="sum")
            loss.backward()
            return loss

        total += float(optimizer.step(closure)) / options.batch
        if step % 10 == 0:
            print(f"{step} minibatches: log-likelihood {-total / 10:.4f}", flush=True)
            total = 0.0


if __name__ == "__main__":
    main()
