"""Weights of models by BFGS."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from chainstitch.nnet.chain import ChainLoss
from chainstitch.nnet.combine import optimised
from chainstitch.nnet.combine.average import State
from chainstitch.nnet.combine.optimised import Mixture, Objective, combine, optimise_weights
from chainstitch.nnet.nets import Network
from chainstitch.nnet.train import diagnostics
from tests.toy import XCONFIG, Toy, same_tensors


def models(count: int, seed: int = 0) -> dict[str, State]:
    """Two layers, one with a bias, by name."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"one.weight": (3, 4), "one.bias": (3,), "two.weight": (2, 3)}
    return {
        f"{100 - n}.pt": {
            k: torch.randn(s, generator=generator, dtype=torch.float64) for k, s in shapes.items()
        }
        for n in range(count)
    }


def mix(given: dict[str, State], weights: dict[str, list[float]]) -> State:
    """Naively; weights by the layer's name or "all"."""
    keys = next(iter(given.values()))
    return {
        key: sum(
            w * m[key]
            for w, m in zip(
                weights.get(key.split(".")[0], weights.get("all", [])), given.values(), strict=True
            )
        )
        for key in keys
    }


def nearness(target: State, stretch: float = 1.0) -> Objective:
    """F = - 1/2 |theta - target|^2, some directions counting more."""

    def objective(state: State) -> tuple[float, State]:
        value, gradient = 0.0, {}
        for key, x in state.items():
            scale = torch.linspace(1.0, stretch, x.numel(), dtype=x.dtype).view_as(x)
            value -= 0.5 * float((scale * (x - target[key]).square()).sum())
            gradient[key] = scale * (target[key] - x)
        return value, gradient

    return objective


def run(given: dict[str, State], objective: Objective, **options: object) -> optimised.Combined:
    return combine(
        list(given), given.__getitem__, objective, lambda state: objective(state)[0], **options
    )


@pytest.mark.parametrize("stretch", [1.0, 30.0])
def test_known_optimum_is_found(stretch: float) -> None:
    given, weights = models(4), [0.5, 0.05, 0.15, 0.3]
    target = mix(given, {"all": weights})
    found = run(given, nearness(target, stretch))
    assert found.winner == "optimised" and found.scores["optimised"] > -1e-6
    assert found.weights == {"all": pytest.approx(weights, abs=1e-3)}
    torch.testing.assert_close(found.state, target, rtol=0, atol=1e-2)


def test_weights_stay_on_the_simplex_where_the_optimum_lies_outside() -> None:
    given = models(3)
    target = mix(given, {"all": [1.6, -0.6, 0.0]})
    (weights,) = run(given, nearness(target)).weights.values()
    assert min(weights) >= 0 and sum(weights) == pytest.approx(1)
    assert weights[0] > 0.9


def test_gradient_by_p_matches_finite_differences() -> None:
    given = models(4)
    objective = nearness(models(1, seed=1)["100.pt"], 5.0)
    for per_component in (False, True):
        mixture = Mixture(list(given), given.__getitem__, per_component)
        rows = 2 if per_component else 1
        p = torch.randn(rows, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        _, gradient = optimised.value_and_gradient(mixture, objective, p)
        for c in range(rows):
            for m in range(4):
                step = torch.zeros_like(p)
                step[c, m] = 1e-5
                up, _ = optimised.value_and_gradient(mixture, objective, p + step)
                down, _ = optimised.value_and_gradient(mixture, objective, p - step)
                assert float(gradient[c, m]) == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_a_set_of_weights_for_each_component_finds_more_where_there_is_more() -> None:
    given = models(3)
    weights = {"one": [0.7, 0.2, 0.1], "two": [0.1, 0.1, 0.8]}
    target = mix(given, weights)
    together = run(given, nearness(target))
    apart = run(given, nearness(target), per_component=True)
    assert list(apart.weights) == ["one", "two"]
    for name, found in apart.weights.items():
        assert found == pytest.approx(weights[name], abs=1e-3)
    assert apart.scores["optimised"] > together.scores["optimised"] + 0.1


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_never_worse_than_last_and_average(count: int, seed: int) -> None:
    given = models(count, seed)
    objective = nearness(models(1, seed=seed + 10)["100.pt"], 9.0)
    found = run(given, objective)
    average = mix(given, {"all": [1 / count] * count})
    assert found.scores["average"] == pytest.approx(objective(average)[0])
    assert found.scores["last"] == pytest.approx(objective(given["100.pt"])[0])
    value, _ = objective(found.state)
    assert value == found.scores[found.winner] == max(found.scores.values())
    torch.testing.assert_close(mix(given, found.weights), found.state)


def test_measured_best_is_kept_whatever_was_optimised() -> None:
    given = models(3)
    target = mix(given, {"all": [0.1, 0.2, 0.7]})
    for winner, weights in {"last": [1.0, 0.0, 0.0], "average": [1 / 3] * 3}.items():
        wanted = mix(given, {"all": weights})
        found = combine(
            list(given), given.__getitem__, nearness(target),
            lambda state, wanted=wanted: nearness(wanted)(state)[0],
        )  # fmt: skip
        assert (found.winner, found.weights) == (winner, {"all": weights})
        torch.testing.assert_close(found.state, wanted)


def test_the_objective_never_falls_and_is_evaluated_once_at_a_place() -> None:
    given, seen = models(5), []
    objective = nearness(models(1, seed=3)["100.pt"], 30.0)

    def counted(state: State) -> tuple[float, State]:
        seen.append(state["one.weight"])
        return objective(state)

    mixture = Mixture(list(given), given.__getitem__)
    weights, history, evaluations = optimise_weights(mixture, counted)
    assert history == sorted(history) and 2 <= len(history) <= 21
    assert objective(mixture.parameters(weights))[0] == history[-1]
    assert evaluations == len(seen)
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


@pytest.mark.parametrize("scale", [1e-4, 10.0])
def test_first_step_gains_a_hundredth_but_goes_no_further_than_one(scale: float) -> None:
    units = torch.eye(3, dtype=torch.float64)
    given = {str(m): {"w": units[m]} for m in range(3)}  # theta are the weights themselves
    slope, seen = scale * torch.tensor([1.0, -1.0, 3.0], dtype=torch.float64), []

    def linear(state: State) -> tuple[float, State]:
        seen.append(state["w"])
        return float(slope @ state["w"]), {"w": slope}

    optimise_weights(Mixture(list(given), given.__getitem__), linear, iterations=1)
    p = seen[1].log() - seen[1].log().mean()
    gradient = (slope - slope.mean()) / 3
    distance, gain = float(p.abs().max()), float(p @ gradient)
    if scale < 1:  # so flat that a gain of 0.01 is out of sight
        assert distance == pytest.approx(1) and gain < 0.01
    else:
        assert gain == pytest.approx(0.01) and distance < 1


def test_many_models_are_grouped_by_triangles() -> None:
    given = models(7)
    mixture = Mixture(list(given), given.__getitem__, max_inputs=4)  # centres 0, 2, 4, 6
    hats = torch.tensor(
        [[2, 1, 0, 0, 0, 0, 0], [0, 1, 2, 1, 0, 0, 0], [0, 0, 0, 1, 2, 1, 0], [0, 0, 0, 0, 0, 1, 2]]
    ).double()
    torch.testing.assert_close(mixture.groups, hats / hats.sum(1, keepdim=True))
    mean = mix(given, {"all": [1 / 7] * 7})
    torch.testing.assert_close(mixture.parameters(mixture.start[None]), mean)
    found = run(given, nearness(given["97.pt"]), max_inputs=4)  # in two groups, a quarter of each
    assert sum(found.weights["all"]) == pytest.approx(1)
    torch.testing.assert_close(mix(given, found.weights), found.state)
    assert found.scores["optimised"] > found.scores["average"]
    assert mixture.size() == 4 * 21 * 8


def test_a_model_is_loaded_only_when_its_turn_comes() -> None:
    given, order = models(4), []

    def load(name: str) -> State:
        order.append(name)
        return given[name]

    Mixture(list(given), load)
    assert order == list(given)


def test_the_models_are_not_changed() -> None:
    given, before = models(3), models(3)
    run(given, nearness(models(1, seed=4)["100.pt"]))
    assert all(same_tensors(given[k], before[k]) for k in given)


def test_what_is_not_finite_or_does_not_fit_is_named() -> None:
    given = models(3)
    given["99.pt"]["one.bias"][1] = float("inf")
    with pytest.raises(FloatingPointError, match=r"99\.pt is not finite in one\.bias"):
        run(given, nearness(given["100.pt"]))
    given = models(3)
    given["98.pt"]["two.weight"] = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r"98\.pt has other parameters"):
        run(given, nearness(given["100.pt"]))
    with pytest.raises(ValueError, match="no model"):
        run({}, nearness({}))


@pytest.mark.parametrize("what", ["value", "gradient"])
def test_objective_that_is_not_finite_is_an_error(what: str) -> None:
    def objective(state: State) -> tuple[float, State]:
        nan = {k: v * float("nan") for k, v in state.items()}
        return (float("nan"), state) if what == "value" else (0.0, nan)

    with pytest.raises(FloatingPointError, match=r"not finite at weights \[\[0\.5, 0\.5\]\]"):
        run(models(2), objective)


# with a network and the chain objective


@pytest.fixture(scope="module")
def network(toy: Toy) -> Network:
    torch.manual_seed(0)
    return Network(XCONFIG, toy.loss().denominator.num_pdfs)


def drawn(network: Network, count: int) -> dict[str, State]:
    """Models about one another, as those of a run are."""
    generator = torch.Generator().manual_seed(1)
    base = {
        k: 0.3 * torch.randn(p.shape, generator=generator) for k, p in network.named_parameters()
    }
    return {
        str(m): {k: v + 0.2 * torch.randn(v.shape, generator=generator) for k, v in base.items()}
        for m in range(count)
    }


def test_gradient_is_autograd_s_through_the_mixture(toy: Toy, network: Network) -> None:
    given, examples = drawn(network, 3), toy.examples()
    loss = ChainLoss(toy.loss().denominator, output_l2=0.0)

    def objective(state: State) -> tuple[float, State]:
        network.load_state_dict(network.state_dict() | state)
        return diagnostics.objective_and_gradient(network, loss, examples, [0, 5, 9, 20], "cpu")

    p = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    mixture = Mixture(list(given), given.__getitem__)
    value, gradient = optimised.value_and_gradient(mixture, objective, p)

    q = p.clone().requires_grad_()
    w = q.softmax(1)[0].float()
    theta = {k: sum(w[m] * given[str(m)][k] for m in range(3)) for k in given["0"]}
    batch = examples.batch([0, 5, 9, 20])
    for m in network.train().modules():
        m.train(not isinstance(m, torch.nn.Dropout))
    outputs, lengths = functional_call(network, theta, (batch.features, batch.lengths))
    twin: Tensor = -loss(outputs, lengths, batch.targets) / int(lengths.sum())
    twin.backward()
    assert value == pytest.approx(float(twin.detach()), rel=1e-5)
    torch.testing.assert_close(gradient, q.grad, rtol=1e-3, atol=1e-6)


def test_measuring_the_gradient_leaves_only_the_parameters_behind(
    toy: Toy, network: Network
) -> None:
    network.train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    generator = torch.get_rng_state()
    loss = ChainLoss(toy.loss().denominator, output_l2=0.0)
    diagnostics.objective_and_gradient(network, loss, toy.examples(), [0, 1, 2], "cpu")
    assert same_tensors(before, dict(network.state_dict()))
    assert torch.equal(generator, torch.get_rng_state())
    assert all(m.training for m in network.modules())
    assert all(p.grad is None for p in network.parameters())
