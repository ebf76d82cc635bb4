"""egs/theory: the paper's bias and its correction against sampling, training and enumeration."""

from __future__ import annotations

import importlib
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "egs" / "theory" / "local"
ERRORS = 4.5  # standard errors that a measured value may be off


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    """The recipe's own scripts, which import one another by their short names."""
    names = ("record", "quadratic", "training", "variance")
    sys.path.insert(0, str(LOCAL))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(LOCAL))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture
def quadratic(scripts):
    return scripts["quadratic"]


@pytest.fixture
def training(scripts):
    return scripts["training"]


@pytest.fixture
def variance(scripts):
    return scripts["variance"]


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def agrees(estimate, wanted, slack=0.0) -> bool:
    return bool(np.all(np.abs(estimate.mean - wanted) <= ERRORS * estimate.error + slack))


def expectation(problem, n, estimator):
    """The mean of an estimator over all data sets of size n, by going through every one."""
    kinds = len(problem.gradient)
    mean = np.zeros(problem.gradient.shape[1])
    for counts in itertools.product(range(n + 1), repeat=kinds):
        if sum(counts) == n:
            ways = math.factorial(n) / math.prod(map(math.factorial, counts))
            mean += ways / kinds**n * estimator(problem, np.array([counts]) / n)[0]
    return mean


def test_the_problems_are_what_the_theory_assumes(quadratic):
    whole = quadratic.correlated()
    for problem in (whole, quadratic.independent(whole), quadratic.stretched(whole)):
        assert np.linalg.eigvalsh(problem.hessian).min() > 0
        np.testing.assert_allclose(problem.gradient.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(whole.mean_hessian, np.eye(2), atol=1e-15)
    np.testing.assert_allclose(whole.bias, [1.0, 0.45], atol=1e-15)
    np.testing.assert_allclose(quadratic.independent(whole).bias, 0, atol=1e-15)


def test_the_minimiser_has_the_bias_of_8(quadratic, rng):
    problem = quadratic.correlated()
    [(bias, _)] = quadratic.measure(problem, 128, 100_000, rng, quadratic.fixed_point(0.0))
    assert agrees(bias, problem.bias + problem.next_bias / 128)
    assert agrees(bias, problem.bias, slack=0.01)  # the next term is 0.0076
    assert np.all(np.abs(bias.mean) > 50 * bias.error)


def test_no_bias_when_hessian_and_gradient_are_independent(quadratic, rng):
    problem = quadratic.independent(quadratic.correlated())
    estimators = quadratic.fixed_point(0.0), quadratic.fixed_point(1 / 64)
    for bias, _ in quadratic.measure(problem, 64, 100_000, rng, *estimators):
        assert agrees(bias, 0.0)
        assert np.all(bias.error < 0.005)


def test_sampling_agrees_with_going_through_all_data_sets(quadratic, rng):
    problem = quadratic.correlated()
    estimators = [
        quadratic.fixed_point(0.0),
        quadratic.fixed_point(0.2),
        quadratic.with_constant(6),
    ]
    sampled = quadratic.measure(problem, 6, 100_000, rng, *estimators)
    for estimator, (bias, _) in zip(estimators, sampled, strict=True):
        assert agrees(bias, 6 * expectation(problem, 6, estimator))


def test_what_8_leaves_out_is_the_next_term_and_then_falls_as_the_cube(quadratic):
    problem = quadratic.correlated()
    off = []
    for n in (12, 24):
        exact = n * expectation(problem, n, quadratic.fixed_point(0.0))
        off.append(n**2 * (exact - problem.bias - problem.next_bias / n))
    np.testing.assert_allclose(off[0], off[1], rtol=0.25)
    assert np.all(np.abs(off) < 3)


def test_backstitch_cancels_all_of_the_bias_but_the_second_order(quadratic):
    problem = quadratic.correlated()
    for estimator in (lambda n: quadratic.fixed_point(1 / n), quadratic.with_constant):
        left = [n**2 * expectation(problem, n, estimator(n)) for n in (12, 24)]
        np.testing.assert_allclose(left[0], left[1], rtol=0.15)
        assert np.all(np.abs(left[1]) < 2.5)  # uncancelled: n b, that is 24 and 10.8


def test_cancellation_is_at_one_over_n_and_nowhere_near(quadratic, rng):
    problem, n = quadratic.correlated(), 128
    for share in (0.5, 1.0, 1.5):
        estimator = quadratic.fixed_point(share / n)
        [(bias, _)] = quadratic.measure(problem, n, 100_000, rng, estimator)
        assert agrees(bias, (1 - share) * problem.bias, slack=0.05)


def test_preconditioned_by_the_inverse_hessian_it_cancels_for_any_hessian(quadratic, rng):
    problem, n = quadratic.stretched(quadratic.correlated()), 128
    plain = quadratic.fixed_point(1 / n)
    preconditioned = quadratic.fixed_point(1 / n, np.linalg.inv(problem.mean_hessian))
    results = quadratic.measure(problem, n, 50_000, rng, plain, preconditioned)
    assert agrees(results[1][0], 0.0, slack=0.03)
    assert np.all(np.abs(results[0][0].mean) > 0.5)


def test_saving_of_expected_loss_agrees_with_its_formula(quadratic, rng):
    whole = quadratic.correlated()
    estimators = quadratic.fixed_point(0.0), quadratic.fixed_point(1 / 64)
    for problem in (whole, quadratic.independent(whole)):
        _, (_, saving) = quadratic.measure(problem, 64, 100_000, rng, *estimators)
        assert agrees(saving, problem.saving, slack=0.05)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_the_correction_of_17_is_what_the_optimiser_does(quadratic, training, rng, alpha):
    problem, lr = quadratic.correlated(), 0.05
    made, formula = training.correction(problem, 20_000, lr, alpha, rng)
    np.testing.assert_allclose(made, formula, atol=1e-14)
    mean = quadratic.Estimate.of(made)
    assert agrees(mean, alpha * (1 + alpha) * lr * problem.correction)
    assert np.all(np.abs(mean.mean) > 10 * mean.error)


@pytest.mark.parametrize(("order", "alpha"), [("drawn", 1.0), ("shuffled", 0.0)])
def test_training_settles_where_the_theory_says(quadratic, training, rng, order, alpha):
    """At the fixed point of each data set; shuffled, short of it by a known share of the bias."""
    problem, n, rows, lr = quadratic.correlated(), 16, 2000, 0.5 / 16
    data = rng.integers(4, size=(rows, n))
    weights = np.stack([(data == kind).mean(axis=1) for kind in range(4)], axis=1)
    exact = quadratic.fixed_point(alpha * (1 + alpha) * lr)(problem, weights)
    exact += weights @ problem.gradient  # `train` takes such noise off too
    theta = training.train(problem, data, order, lr, alpha, 1, rng)
    found = quadratic.Estimate.of(training.along(problem, n * (theta - exact)))
    assert found.error < 0.02
    if order == "drawn":
        assert agrees(found, 0.0)
    else:
        assert agrees(found, -0.229, slack=0.05)


def test_own_correction_of_shuffled_epochs_has_its_two_limits(training):
    assert training.own_correction(1e-3) == pytest.approx(0.5e-3, rel=1e-3)
    assert training.own_correction(50.0) == pytest.approx(1.0)


def test_8_is_wrong_for_the_variance_by_a_factor_that_depends_on_the_parameter(variance, rng):
    known = {  # n times (8), and n times the true bias
        "variance": (-6.0, -1.0),
        "standard deviation": (-2.5, -0.75),
        "log variance": (-4.0, -2.0),
        "precision": (2.0, 3.0),
    }
    sums = variance.moments(1000, 20_000, rng)
    assert {parameter.name for parameter in variance.PARAMETERS} == set(known)
    for parameter in variance.PARAMETERS:
        assert (parameter.paper, parameter.bias) == pytest.approx(known[parameter.name])
        exact, newton = variance.measure(parameter, 1000, sums)
        assert agrees(exact, parameter.bias, slack=0.04)
        assert agrees(newton, parameter.paper, slack=0.15)  # right of the step, wrong of the rest
        assert abs(exact.mean - parameter.paper).item() > 20 * exact.error.item()


def test_the_correction_of_10_spoils_the_estimate_of_the_variance(variance, rng):
    assert agrees(variance.corrected(1000, variance.moments(1000, 20_000, rng)), 5.0, slack=0.1)


@pytest.mark.recipe
def test_the_recipe_writes_tables_and_figure_and_refuses_to_replace_them(tmp_path):
    arguments = ["--work", str(tmp_path), "--draws", "5000", "--rows", "20"]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(ROOT / "egs" / "theory" / "run.sh"), *arguments, *more],
            capture_output=True, text=True, timeout=900, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    text = (tmp_path / "exp" / "RESULTS.md").read_text()
    assert text.count("\n## ") == 5
    assert "seed 0" in text and "5000 data sets" in text
    assert "nan" not in text
    assert 10_000 < (tmp_path / "exp" / "bias.png").stat().st_size < 150_000
    again = run("--stage", "3")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
