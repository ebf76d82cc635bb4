"""The LDA-like transform: the twin's, what it does to covariances, and its place in a network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.lda import LdaStatistics, estimate_lda, lda_transform
from chainstitch.nnet.optim import SGD, NaturalGradient
from chainstitch.utils.errors import UsageError, UserError
from tests.reference.lda import simple_transform

NET = """
input name=ivector dim=3
input name=input dim=4
fixed-affine-layer name=lda input=Append(-1,0,2,ReplaceIndex(ivector, t, 0)) affine-transform-file=x
relu-renorm-layer name=tdnn1 dim=6
output-layer name=output
"""


def frames(classes: int = 4, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Correlated frames of so many classes; some have none, -1."""
    rows, dim = 400, 6
    generator = torch.Generator().manual_seed(0)
    means = 3 * torch.randn(classes + 1, dim, generator=generator)
    of = torch.randint(-1, classes, (rows,), generator=generator)
    mix = torch.randn(dim, dim, generator=generator)
    x = torch.randn(rows, dim, generator=generator) @ mix + means[of] + 7.0
    return scale * x, of


def statistics(x: Tensor, classes: Tensor, parts: int = 3) -> LdaStatistics:
    """Of a few frames at a time; and a class that never occurs."""
    found = LdaStatistics(x.shape[1], max(5, int(classes.max()) + 2))
    for some, of in zip(x.chunk(parts), classes.chunk(parts), strict=True):
        found.add(some, of)
    return found


def same_signs(m: Tensor) -> Tensor:
    """(dim, 1) what makes the largest entry of every row positive."""
    return m.gather(1, m.abs().argmax(1, keepdim=True)).sign()


@pytest.mark.parametrize("scale", [1.0, 0.02])  # the second has singular values that are cut
def test_the_transform_is_that_of_the_twin(scale: float) -> None:
    x, classes = frames(9, scale)
    found = lda_transform(statistics(x, classes))
    m, b = simple_transform(x, classes)
    assert (found.cut > 0) == (scale < 1)
    signs = same_signs(found.weight)
    other = same_signs(m)
    torch.testing.assert_close(found.weight * signs, m * other, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(found.bias * signs[:, 0], b * other[:, 0], rtol=1e-7, atol=1e-6)


def test_dimensions_that_tell_classes_apart_keep_unit_variance_and_others_nearly_none() -> None:
    x, classes = frames()
    found = lda_transform(statistics(x, classes), max_singular_value=1e9)
    y = (x[classes >= 0].double() @ found.weight.t()) + found.bias
    after = statistics(y, classes[classes >= 0])
    mean, total, between = after.covariances()
    s = found.between
    assert (s[:-1] >= s[1:]).all() and float(s[3:].abs().max()) < 1e-9  # four classes: rank three
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
    wanted = torch.diag((1e-4 + s) / (1 + s))
    torch.testing.assert_close(total - between, wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(total.diagonal(), 1e-4 + s, rtol=1e-6, atol=1e-9)
    assert torch.linalg.matrix_rank(found.weight) == x.shape[1]  # none is thrown away


def test_a_constant_dimension_is_said_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    x, classes = frames()
    x[:, 2] = 4.0
    found = lda_transform(statistics(x, classes))
    assert "singular" in caplog.text
    assert torch.isfinite(found.weight).all()
    assert float(torch.linalg.svdvals(found.weight).max()) <= 5.0 + 1e-9


def batches() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(4):
        x = torch.randn(5, 40, 4, generator=generator)
        x[1, 20:] = float("nan")
        lengths = torch.tensor([40, 20, 31, 38, 25])
        ivectors = torch.randn(5, 3, generator=generator)
        made.append((x, lengths, ivectors, torch.randint(-1, 5, (5, 14), generator=generator)))
    return made


def test_a_network_is_given_the_transform_of_what_its_layer_reads() -> None:
    torch.manual_seed(0)
    network = Network(NET, 5)
    layer = network.layers["lda"]
    rows, classes = [], []
    for x, lengths, ivectors, targets in batches():
        for i, n in enumerate(lengths.tolist()):
            for j in range(-(-n // 3)):
                spliced = [x[i, min(max(3 * j + o, 0), n - 1)] for o in (-1, 0, 2)]
                rows.append(torch.cat([*spliced, ivectors[i]]))
                classes.append(int(targets[i, j]))
    found = estimate_lda(network, batches())
    assert found is not None
    wanted = lda_transform(statistics(torch.stack(rows), torch.tensor(classes), 1))
    torch.testing.assert_close(found.weight, wanted.weight)
    torch.testing.assert_close(layer.weight, wanted.weight.float())
    torch.testing.assert_close(layer.bias, wanted.bias.float())
    assert network.training


def test_the_layer_is_the_identity_until_then_saved_and_never_trained() -> None:
    torch.manual_seed(0)
    network = Network(NET, 5)
    seen = []
    network.layers["lda"].register_forward_hook(lambda _, x, y: seen.append((x[0], y)))
    x, lengths, ivectors, _ = batches()[0]
    network(x, lengths, 0, ivectors)
    assert torch.equal(*seen[0])
    estimate_lda(network, batches())
    network(x, lengths, 0, ivectors)
    assert not torch.allclose(*seen[-1])
    other = Network(NET, 5)
    assert not other.layers["lda"].estimated
    other.load_state_dict(network.state_dict())
    assert other.layers["lda"].estimated
    assert torch.equal(other.layers["lda"].weight, network.layers["lda"].weight)
    for names in (SGD(network, 1e-3).names, NaturalGradient(network).layers):
        assert list(names) == ["layers.tdnn1.0", "layers.output"]
    assert network.num_parameters() == 16 * 6 + 7 * 5


def test_a_network_without_such_a_layer_is_left_alone() -> None:
    text = "input name=input dim=4\nrelu-renorm-layer name=a dim=3\noutput-layer name=output"
    assert estimate_lda(Network(text, 5), []) is None


def test_what_cannot_be_estimated_says_why() -> None:
    with pytest.raises(UserError, match="5 frames are too few for 6"):
        lda_transform(statistics(torch.randn(5, 6), torch.zeros(5, dtype=torch.long), 1))
    x, classes = frames()
    x[7, 3] = float("inf")
    with pytest.raises(UserError, match="not finite"):
        lda_transform(statistics(x, classes.clamp(min=0)))
    with pytest.raises(ValueError, match="class 5 of 5"):
        LdaStatistics(6, 5).add(x, classes + 2)
    with pytest.raises(ValueError, match="wanted"):
        statistics(x[:, :4], classes).add(x, classes)
    two = NET.replace("relu-renorm", "fixed-affine-layer name=lda2\nrelu-renorm")
    with pytest.raises(UsageError, match="lda, lda2"):
        estimate_lda(Network(two, 5), [])
    late = """
    input name=input dim=4
    relu-renorm-layer name=a dim=4
    fixed-affine-layer name=lda
    output-layer name=output input=Append(1,2)
    """
    network = Network(late, 5)
    with pytest.raises(UsageError, match="no values at the times of the outputs"):
        estimate_lda(network, [(torch.randn(1, 9, 4), torch.tensor([9]), None, torch.zeros(1, 3))])
