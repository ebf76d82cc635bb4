"""What a training costs, against a count by hand."""

from __future__ import annotations

import pytest

from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.cost import Job, cost

TEXT = """
input name=input dim=10
relu-renorm-layer name=a dim=200 input=Append(-1,0,1)
output-layer name=output
"""


def test_flops_bytes_and_hours_as_counted_by_hand() -> None:
    network = Network(TEXT, 300, 3)
    found = cost(network, Job(2.0, passes=5.0, chunk=100, context=50, minibatch=10), tflops=0.5)
    outputs = 2.0 * 360_000 * 5.0 / 3
    rows = outputs * 150 / 100  # both layers at every third frame
    plain = 3 * rows * 2 * (30 * 200 + 200 * 300)
    assert found["training_pflop"] == pytest.approx(plain / 1e15)
    minibatches = 2.0 * 360_000 * 5.0 / (100 * 10)
    each = sum(2.5 * r * d + 2 * r * r for r, d in ((15, 31), (80, 200), (20, 201), (80, 300)))
    once = 4 * (15 + 80) * 31 * 200 + 4 * (20 + 80) * 201 * 300
    natural_gradient = rows * each + minibatches * once
    assert found["natural_gradient_adds"] == pytest.approx(natural_gradient / plain)
    hours = (plain + natural_gradient) / 0.5e12 / 3600
    assert found["hours_at_0.5_tflops"] == pytest.approx(hours)
    assert found["hours_with_backstitch_interval_4"] == pytest.approx(1.25 * hours)
    assert found["gigabytes_of_features"] == pytest.approx(2.0 * 360_000 * 10 * 4 / 1e9)
    parameters = 31 * 200 + 201 * 300
    estimates = 15 * 31 + 80 * 200 + 20 * 201 + 80 * 300
    assert found["gigabytes_of_checkpoints"] == pytest.approx(
        20 * 4 * (parameters + estimates) / 1e9
    )
