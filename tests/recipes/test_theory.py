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
    names = ("record", "quadratic", "training", "variance", "figure", "conclusions")
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
def conclusions(scripts):
    return scripts["conclusions"]


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


@pytest.fixture
def numbers(quadratic, training, variance):
    """What the three scripts would write, were the theory exactly right."""
    whole = quadratic.correlated()
    problems = {"correlated": whole, "stretched": quadratic.stretched(whole)}
    shares = {  # of (8), as functions of n
        ("correlated", "minimiser"): lambda n: 1 + 1 / n,
        ("correlated", "backstitch"): lambda n: 2.2 / n,
        ("correlated", "constant"): lambda n: 0.5 / n,
        ("independent", "minimiser"): lambda n: 0.0,
        ("independent", "backstitch"): lambda n: 0.0,
        ("stretched", "backstitch"): lambda n: -1.25,
        ("stretched", "backstitch, preconditioned"): lambda n: 2.2 / n,
    }
    losses = []
    for (problem, estimator), at in shares.items():
        b = problems.get(problem, whole).bias
        for n in quadratic.SIZES:
            saving = {"correlated": 2.66, "independent": 1.06}.get(problem, 0.0)
            row = {"problem": problem, "estimator": estimator, "n": n, "predicted": b.tolist()}
            row |= {"bias": (at(n) * b).tolist(), "error": (1e-4 * np.abs(b)).tolist()}
            losses.append(row | {"saving": saving, "saving_error": 0.01})
    trained = []
    for case in training.settings(training.N):
        how = (case[key] for key in ("order", "n", "lr", "alpha", "interval"))
        trained.append(case | {"share": training.predict(*how), "error": 0.01})
    step = {"order": "one step", "share": 1.0, "error": 1e-3, "off_formula": 1e-14}
    fitted = [
        {
            "parameter": p.name, "paper": p.paper, "lacking": p.lacking, "newton": p.paper,
            "newton_error": 0.01, "bias": p.bias, "error": 0.005,
        }
        for p in variance.PARAMETERS
    ]  # fmt: skip
    fitted.append({"parameter": "variance, corrected", "bias": 5.0, "error": 0.005})
    return {"losses": losses, "training": [*trained, step], "variance": fitted}


AS_THEORY_HAS_IT = (
    "For quadratic losses (8) holds: ",
    "What (8) leaves out falls as n^-2.00",
    "footnote 1's o(n^2) should read O(1/n^2)",
    "(17) holds. The cancellation holds: ",
    "no more than terms of that order",
    "(alpha = 1): it is cancelled.",
    "plain SGD corrects a part already",
    "by the same condition backstitch over-corrects.",
    "What cancels there is exp",
    "plain backstitch does not cancel the bias",
    "natural gradient, it cancels it",
    "Most of what the correction saves in expected loss is not the bias",
    "it saves something where",
    "For the variance (8) is 6.00 ± 0.03 times the bias.",
    "One Newton step has the bias of (8)",
    "the sum is that of maximum likelihood: the loss is not quadratic",
    "ours changes with the parameter (0.667 to 6)",
    "from -1.000 ± 0.005 into 5.000 ± 0.005, which is worse.",
)


def concluded(conclusions, numbers) -> str:
    written = ({"rows": numbers[name]} for name in ("losses", "training", "variance"))
    return " ".join(" ".join(conclusions.conclusions(*written)).split())


def test_of_numbers_as_the_theory_has_them_the_theory_is_concluded(conclusions, numbers):
    said = concluded(conclusions, numbers)
    for sentence in AS_THEORY_HAS_IT:
        assert sentence in said, said
    assert "too few data sets" not in said.split("- For quadratic")[1]


@pytest.mark.parametrize(
    ("part", "which", "changed", "said", "gone"),
    [
        ("losses", {"problem": "correlated", "estimator": "minimiser"},
         lambda row: {"bias": [0.8 * value for value in row["bias"]]},
         ["(8) does not hold: at n = 256 the bias is 0.803"], ["O(1/n^2)"]),
        ("losses", {"problem": "correlated", "estimator": "backstitch"},
         lambda row: {"bias": row["predicted"]},
         ["The cancellation does not hold: 1.000", "more than terms of that order"],
         ["no more than"]),
        ("losses", {"problem": "correlated", "estimator": "backstitch"},
         lambda row: {"bias": [row["n"] ** 0.5 / 128 * value for value in row["bias"]]},
         ["The cancellation does not hold: 0.001", "what is left falls as n^-1.50"], []),
        ("losses", {"problem": "stretched", "estimator": "backstitch"},
         lambda row: {"bias": [0.0, 0.0]},
         ["plain backstitch cancels the bias"], ["plain backstitch does not"]),
        ("losses", {"problem": "stretched", "estimator": "backstitch, preconditioned"},
         lambda row: {"bias": row["predicted"]}, ["it does not cancel it (1.000"], []),
        ("losses", {"problem": "correlated"}, lambda row: {"saving": 1.0},
         ["The bias is at least half of what the correction saves"], ["Most of what"]),
        ("losses", {"problem": "correlated"}, lambda row: {"saving": -1.0},
         ["The correction saves nothing in expected loss"], ["Most of what", "at least half"]),
        ("losses", {"problem": "independent"}, lambda row: {"saving": -0.2},
         ["it saves nothing where H and g are independent"], []),
        ("losses", {}, lambda row: {"error": [0.5, 0.5], "saving_error": 5.0},
         ["(8) (too few data sets to tell whether it holds)", "(17) holds",
          "The cancellation (too few data sets to tell whether it holds)",
          "How much of what the correction saves in expected loss is the bias: too few"],
         ["Most of what", "it cancels it"]),
        ("training", {"order": "one step"}, lambda row: {"share": 0.9},
         ["(17) does not hold"], []),
        ("training", {"order": "one step"}, lambda row: {"off_formula": 1e-6},
         ["(17) does not hold"], []),
        ("training", {"order": "drawn", "alpha": 1.0}, lambda row: {"share": 0.2},
         ["0.200 ± 0.010 (alpha = 1): it is not cancelled."], []),
        ("training", {"order": "shuffled", "alpha": 0.0}, lambda row: {"share": 1.0},
         ["may correct a part: too few data sets to tell (0.000", "0.229 is predicted"], []),
        ("training", {"order": "shuffled", "alpha": 0.0}, lambda row: {"share": 1.3},
         ["plain SGD corrects nothing (-0.300"], []),
        ("training", {"order": "shuffled"}, lambda row: {"share": 0.0},
         ["backstitch cancels the bias there, too."], ["over-corrects"]),
        ("training", {"order": "shuffled"}, lambda row: {"share": 0.4},
         ["backstitch under-corrects.", "does not, the last two lines"], ["What cancels"]),
        ("training", {"order": "shuffled", "alpha": 0.3}, lambda row: {"share": 0.4},
         ["backstitch does not do the same at every alpha.", "What should cancel there"], []),
        ("variance", {"parameter": "variance"}, lambda row: {"bias": -6.0},
         ["For the variance (8) is the bias.", "the sum is not that of maximum likelihood",
          "which is better."], ["not quadratic", "times the bias. One"]),
        ("variance", {"parameter": "precision"}, lambda row: {"newton": 3.0},
         ["One Newton step does not have the bias of (8)"], ["not quadratic"]),
        ("variance", {"parameter": "variance, corrected"}, lambda row: {"bias": 0.1},
         ["into 0.100 ± 0.005, which is better."], []),
        ("variance", {"parameter": "variance, corrected"}, lambda row: {"bias": 1.0},
         ["into 1.000 ± 0.005, no better and no worse."], []),
    ],
)  # fmt: skip
def test_of_other_numbers_something_else_is_concluded(
    conclusions, numbers, part, which, changed, said, gone
):
    rows = [row for row in numbers[part] if which.items() <= row.items()]
    assert rows
    for row in rows:
        row |= changed(row)
    found = concluded(conclusions, numbers).split("- For quadratic losses")[1]
    found = f"For quadratic losses{found}"
    for sentence in said:
        assert sentence in found, found
    for sentence in gone:
        assert sentence not in found, found


def test_factors_that_are_equal_are_not_said_to_change(conclusions, numbers):
    for row in numbers["variance"][:-1]:
        row["bias"] = row["paper"] / 2
    assert "ours is not seen to change with the parameter (2 to 2)" in concluded(
        conclusions, numbers
    )


@pytest.mark.recipe
def test_the_recipe_writes_tables_and_figure_and_refuses_to_replace_them(tmp_path):
    arguments = ["--work", str(tmp_path), "--draws", "5000", "--rows", "20"]
    arguments += ["--time-constants", "2"]

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
