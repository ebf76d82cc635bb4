"""egs/backstitch: numbers become intervals, a verdict and a page."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from chainstitch.utils.errors import UserError


@pytest.mark.parametrize(
    ("freedom", "wanted"),  # of a printed table
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (7, 2.365), (8, 2.306), (30, 2.042)],
)  # fmt: skip
def test_quantiles_of_student_are_those_of_the_tables(local, freedom, wanted):
    assert local.paired.quantile(freedom) == pytest.approx(wanted, abs=6e-4)


def test_probability_of_student_is_the_integral_of_its_density(local):
    for freedom in range(1, 12):
        t = np.linspace(0, 2.5, 200_001)
        density = (1 + t**2 / freedom) ** (-(freedom + 1) / 2)
        from math import exp, lgamma, pi, sqrt

        scale = exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(freedom * pi)
        wanted = 2 * scale * float(np.trapezoid(density, t))
        assert local.paired.probability(2.5, freedom) == pytest.approx(wanted, abs=1e-9)


def test_a_paired_interval_by_hand(local):
    found = local.paired.difference(
        {0: 3.0, 1: 5.0, 2: 4.0, 9: 7.0}, {0: 1.0, 1: 2.0, 2: 3.0, 8: 0.0}
    )
    # of 2, 3, 1: mean 2, sd 1, half 4.3027 / sqrt(3); seeds 8 and 9 have no partner
    assert (found.mean, found.n) == (2.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)
    assert found.verdict(True) == "not told apart"


def test_a_verdict_wants_the_interval_on_one_side_of_zero(local):
    better = local.paired.difference({0: 3.0, 1: 3.1}, {0: 1.0, 1: 1.1})
    assert (better.verdict(True), better.verdict(False)) == ("better", "worse")
    assert local.paired.difference({0: 1.0}, {0: 2.0}) is None


def content(effect: float = 0.1, against: str = "plain", verdict: str = "best") -> dict:
    """Invented results: two passes, plain, backstitch and a control; backstitch gains `effect`."""
    gains = {"plain": 0.0, "1.0/1": effect, "dropout": 0.02}
    runs, tuning = [], []
    for passes in (10, 20):
        for form, gain in gains.items():
            own = BACKSTITCH if form == "1.0/1" else []
            base = {"form": form, "passes": passes, "rate": 0.1, "variant": 0, "own": own}
            base |= {"converged": True, "strength": gain or None, "seconds": 3.0, "parameters": 9}
            base |= {"unit": "image"}
            for seed in range(4):
                valid = -1.0 + gain + 0.01 * seed + 0.001 * (seed % 2)
                row = {"seed": seed, "train": -0.2, "valid": valid, "gap": -0.2 - valid}
                row |= {"error": -10 * valid, "curve": [[1, -2.0, -2.0], [2, -0.2, valid]]}
                runs.append(base | row)
            tuning.append(base | {"seed": 100, "valid": -1.0 + gain, "error": 10.0})
    return {
        "experiment": "toy", "question": "Does it?", "data": "toy", "error": "error %",
        "against": against, "choose_by": "valid_objf", "verdict": verdict, "command": "run.sh",
        "rates": [0.1], "tune_seeds": [100], "seeds": [0, 1, 2, 3], "passes": [10, 20],
        "missing": 0, "unit": "image", "receipts": ["commit abc"],
        "forms": {f: {"control": f == "dropout", "net": "n", "tried": [[]]} for f in gains},
        "chosen": {
            f"{form} at {passes} passes": {
                "rate": 0.1, "variant": 0, "settings": [], "edge": form == "plain",
                "value": 1.0 - gain - passes / 1000,
            }
            for form, gain in gains.items() for passes in (10, 20)
        },
        "runs": runs, "tuning": tuning,
    }  # fmt: skip


BACKSTITCH = ["optim.backstitch.scale=1.0", "optim.backstitch.interval=1"]


def jitter(made: dict) -> dict:
    """Of backstitch's runs, so that differences have a deviation."""
    for run in made["runs"]:
        if run["form"] == "1.0/1":
            run["valid"] += 0.004 * (run["seed"] - 1.5)
            run["gap"], run["error"] = run["train"] - run["valid"], -10 * run["valid"]
    return made


@pytest.mark.parametrize(
    ("effect", "first", "second"),
    [
        (0.1, "held-out objective better", "held-out objective better than that of `dropout`"),
        (
            0.0,
            "held-out objective not told apart",
            "held-out objective worse than that of `dropout`",
        ),
        (-0.1, "held-out objective worse", "held-out objective worse than that of `dropout`"),
    ],
)
def test_the_verdict_follows_the_numbers(local, effect, first, second):
    said = local.verdict.sentence(local.results.collect(jitter(content(effect))))
    assert said.startswith("`1.0/1` with 20 passes against `plain` with as many")
    assert first in said and second in said


def test_each_form_is_sorted_where_an_experiment_asks_for_that(local):
    made = local.results.collect(jitter(content(-0.1, verdict="each")))
    said = local.verdict.sentence(made)
    assert "against `plain`: with 10 passes worse: `1.0/1`" in said
    assert "dropout" not in said  # a control


def test_what_backstitch_has_to_beat_is_the_best_of_the_others_in_hindsight(local):
    made = content()
    for run in made["runs"]:
        if (run["form"], run["passes"]) == ("plain", 10):
            run["error"] = 1.0
    results = local.results.collect(made)
    error, valid = results.best_other("error"), results.best_other("valid")
    assert (error.form, error.passes) == ("plain", 10)
    assert valid.form == "dropout"
    assert results.favourite().form == "1.0/1"


def test_the_page_has_every_number_and_the_pictures_are_the_same_every_time(local, tmp_path):
    made = jitter(content())
    made["runs"][-1]["converged"] = False
    for name in ("valid", "train", "gap", "error", "curve", "seconds"):
        made["runs"][-1].pop(name)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "toy.json").write_text(json.dumps(made))
    pictures = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        sys.argv = ["report.py", str(tmp_path / "results"), "--out", str(tmp_path / place)]
        assert local.report.main() == 0
        pictures.append([(tmp_path / place / f"toy{n}.png").read_bytes() for n in ("", "_tuning")])
    assert pictures[0] == pictures[1]
    page = (tmp_path / "a" / "RESULTS.md").read_text()
    plain = "-0.200 ± 0.000 | -0.984 ± 0.013 | 0.784 ± 0.013 | 9.85 ± 0.13 |  |  |  | 3.0 | 4 |"
    assert f"| 10 | plain | 0.1* | {plain}" in page
    assert "3, 1 not converged" in page
    assert "**Verdict.** `1.0/1` with 20 passes" in page
    assert "| [toy](#toy) | 1.0/1, 20 | plain | +0.100 (+0.092 to +0.108) better |" in page
    details = (tmp_path / "results" / "toy.md").read_text()
    assert "`run.sh`, 30 runs:\n\n- commit abc" in details


def test_results_of_something_else_are_named(local, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"a\.json is not what gather"):
        local.results.read(tmp_path / "a.json")


def test_the_dose_is_of_backstitch_alone(local):
    assert local.figure.dose(BACKSTITCH) == 2.0
    assert local.figure.dose([]) == 0.0
    assert local.figure.dose([*BACKSTITCH, "network.dropout=0.5"]) is None
