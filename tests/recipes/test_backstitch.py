"""egs/backstitch: what is tuned is not reported, runs are kept, and numbers become a verdict."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from chainstitch.utils.data.images import ImageSet, write_images
from chainstitch.utils.errors import UsageError, UserError

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs" / "backstitch"
NAMES = (
    *("experiment", "finished", "plan", "choose", "paired", "results", "verdict", "figure"),
    *("gather", "report", "part_of_set", "progress", "train_one", "test_one"),
)
EXPERIMENTS = [path.stem for path in sorted((RECIPE / "conf").glob("*.toml"))]

TINY = """
question = "Does it run?"
data = "tiny"
net = "tiny"
passes = [2]
rates = [1e-3]
tune_seeds = [100]
seeds = [0, 1]
seconds = { start = 3, pass = 0.1 }

[forms]
"plain" = []
"1.0/1" = ["optim.backstitch.scale=1.0", "optim.backstitch.interval=1"]
"""


@pytest.fixture(scope="module")
def local() -> Iterator[SimpleNamespace]:
    """The recipe's own scripts, which import one another by their short names."""
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    sys.path.insert(0, str(RECIPE / "local"))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(RECIPE / "local"))
        for name in NAMES:
            sys.modules.pop(name, None)
            if before[name] is not None:
                sys.modules[name] = before[name]


def read(local: SimpleNamespace, tmp_path: Path, text: str = TINY, quick: bool = False):
    (tmp_path / "tiny.toml").write_text(text)
    return local.experiment.load("tiny", quick, tmp_path)


def choices(local: SimpleNamespace, experiment, rate: float = 1e-3) -> dict:
    return {
        local.experiment.key(form, passes): {"rate": rate, "variant": 0, "value": 0.5}
        for form in experiment.forms
        for passes in experiment.passes
    }


# -- plans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_nothing_that_is_tuned_is_reported(local, name, quick):
    experiment = local.experiment.load(name, quick, RECIPE / "conf")
    tuned = local.experiment.tuning_runs(experiment)
    reported = local.experiment.reported_runs(experiment, choices(local, experiment))
    assert not {run.seed for run in tuned} & {run.seed for run in reported}
    plans = [
        local.plan.rows(experiment, runs, Path("data"), Path("exp"), RECIPE / "conf" / "nets")
        for runs in (tuned, reported)
    ]
    for plan, part in zip(plans, ("tune", "report"), strict=True):
        for row in plan:
            text = row["command"]
            for option in ("--data", "--valid"):
                assert text[text.index(option) + 1].startswith(f"data/{part}/")
    places = [row["out"] for plan in plans for row in plan]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_all_forms_are_tried_with_all_rates_and_compared_with_the_same_seeds(local, name):
    experiment = local.experiment.load(name, False, RECIPE / "conf")
    tuned = local.experiment.tuning_runs(experiment)
    seen: dict = {}
    for run in tuned:
        seen.setdefault((run.form.name, run.passes, run.variant), set()).add((run.rate, run.seed))
    assert len(set(map(frozenset, seen.values()))) == 1
    reported = local.experiment.reported_runs(experiment, choices(local, experiment))
    seeds = {form: [r.seed for r in reported if r.form.name == form] for form in experiment.forms}
    assert all(
        own == seeds["plain" if "plain" in seeds else experiment.against] for own in seeds.values()
    )
    assert len(experiment.seeds) >= 5


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_form_is_something_that_training_takes(local, name, monkeypatch):
    from chainstitch.nnet.optim import build
    from chainstitch.nnet.tasks.run import load_config

    experiment = local.experiment.load(name, False, RECIPE / "conf")
    monkeypatch.setattr(build, "WRAPPERS", build.WRAPPERS.copy())
    for rows in experiment.rows:
        importlib.import_module(rows).add_rows()
    least = experiment.rates[0], experiment.tune_seeds[0]
    for run in local.experiment.tuning_runs(experiment):
        if (run.rate, run.seed) != least:
            continue
        net = RECIPE / "conf" / "nets" / f"{run.form.net or experiment.net}.toml"
        config = load_config(net, run.settings(experiment.settings))
        assert config.training.passes == run.passes
        assert config.optim.final_lr == pytest.approx(run.rate / 10)


@pytest.mark.parametrize("name", NAMES)
def test_examples_in_the_scripts_are_right(local, name):
    found = doctest.testmod(getattr(local, name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_a_form_has_its_settings_and_a_tenth_of_the_rate_at_the_end(local, tmp_path):
    experiment = read(local, tmp_path)
    run = local.experiment.tuning_runs(experiment)[1]
    assert run.settings(("training.accumulate=2",)) == [
        "training.accumulate=2",
        "training.passes=2", "optim.initial_lr=0.001", "optim.final_lr=0.0001",
        "optim.backstitch.scale=1.0", "optim.backstitch.interval=1",
    ]  # fmt: skip
    assert run.name == "1.0_1_p2_lr0.001_s100"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds = [0, 1]", "seeds = [0, 100]", "what is tuned is not reported"),
        ("rates = [1e-3]", "rates = []", "rates: wanted different values"),
        ("seeds = [0, 1]", "seeds = [0]", "two or more"),
        ('net = "tiny"', 'nett = "tiny"', "nett"),
        ('"plain" = []', '"none" = []', "against"),
        ('net = "tiny"', 'net = "tiny"\nchoose_by = "wer"', "choose_by"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused(local, tmp_path, old, new, said):
    assert old in TINY
    with pytest.raises(UsageError, match=said):
        read(local, tmp_path, TINY.replace(old, new))


def test_an_unknown_experiment_names_those_that_there_are(local):
    with pytest.raises(UsageError, match="mnist_mlp"):
        local.experiment.load("mnist", False, RECIPE / "conf")


def test_quick_keeps_the_forms_that_it_names(local, tmp_path):
    text = TINY + '\n[quick]\nforms = ["plain"]\npasses = [1]\n'
    experiment = read(local, tmp_path, text, quick=True)
    assert (list(experiment.forms), experiment.passes) == (["plain"], (1,))
    assert experiment.name == "tiny_quick"


def test_the_hours_are_the_runs_by_what_each_costs(local, tmp_path):
    experiment = read(local, tmp_path)
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "tiny.toml").write_text("")
    said = local.plan.hours(experiment, tmp_path, 1, tmp_path / "nets")
    # (1 + 2 seeds) of plain, 3 + 2 * 0.1 s, and of backstitch on every minibatch, 3 + 2 * 0.2 s
    assert "2 tuning runs and 4 reported ones, about 20 s" in said


# -- runs that are done ----------------------------------------------------------------------------


@pytest.fixture
def plan(local, tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "tiny.toml").write_text("")
    experiment = read(local, tmp_path)
    runs = local.experiment.tuning_runs(experiment)
    return local.plan.rows(experiment, runs, tmp_path, tmp_path / "exp", tmp_path / "nets")


def finish(row: dict, **more) -> None:
    out = Path(row["out"])
    out.mkdir(parents=True)
    result = {"run": row, "converged": True, "valid": -1.0, "wall": 8.0}
    (out / "result.json").write_text(json.dumps(result | more))


def test_a_run_that_is_done_is_not_begun_again_and_torch_is_not_even_imported(plan, tmp_path):
    finish(plan[0])
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    code = (
        "import sys, train_one\nsys.argv = ['train_one.py', sys.argv[1], '1']\n"
        "print(train_one.main(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(RECIPE / "local")},
    )  # fmt: skip
    assert done.stdout == f"{plan[0]['out']} is done\n0 False\n", done.stderr


def test_a_run_of_other_settings_does_not_count(local, plan):
    finish(plan[0])
    assert local.finished.finished(plan[0])["valid"] == -1.0
    assert local.finished.finished(plan[1]) is None
    with pytest.raises(UserError, match="--overwrite true"):
        local.finished.finished(plan[0] | {"settings": ["training.passes=3"]})


def test_progress_counts_what_is_left_at_the_pace_so_far(local, plan, monkeypatch):
    monkeypatch.setattr(local.finished, "LEAST", 1)
    finish(plan[0], wall=2.5 * plan[0]["predicted"])
    said = local.progress.line(plan, 1, 1, "trained", 0.0)
    assert said == f"1 of 2 trained, about {round(2.5 * plan[1]['predicted'] + 0.5)} s left"
    assert "1 of them done; 1 to do" in local.plan.summary(plan, 1)


# -- choice --------------------------------------------------------------------------------------


def tuned(form, passes, rate, variant, seed, valid, converged=True):
    run = {"form": form, "passes": passes, "rate": rate, "variant": variant, "seed": seed}
    run["own"] = [f"setting={variant}"]
    return {"run": run, "converged": converged, "valid": valid, "error": -10 * (valid or 0.0)}


def test_the_best_mean_over_seeds_is_chosen_for_each_number_of_passes(local):
    results = [
        tuned("a", 1, 0.1, 0, 0, -1.0), tuned("a", 1, 0.1, 0, 1, -3.0),  # mean -2
        tuned("a", 1, 0.2, 0, 0, -1.8), tuned("a", 1, 0.2, 0, 1, -1.8),  # the best
        tuned("a", 1, 0.4, 0, 0, -0.1), tuned("a", 1, 0.4, 0, 1, None, converged=False),
        tuned("a", 2, 0.1, 0, 0, -0.5), tuned("a", 2, 0.2, 1, 0, -0.4),
    ]  # fmt: skip
    chosen = local.choose.choose(results, "valid_objf")
    first, second = chosen["a at 1 passes"], chosen["a at 2 passes"]
    assert (first["rate"], first["edge"], first["n"]) == (0.2, False, 2)
    assert first["value"] == pytest.approx(1.8)
    assert (second["rate"], second["variant"], second["settings"]) == (0.2, 1, ["setting=1"])
    by_error = local.choose.choose(results[:4], "error")
    assert by_error["a at 1 passes"]["rate"] == 0.2 and by_error["a at 1 passes"]["edge"]


def test_a_form_that_never_converges_is_an_error(local):
    with pytest.raises(UserError, match="lower rates"):
        local.choose.choose([tuned("a", 1, 0.1, 0, 0, None, converged=False)], "valid_objf")


# -- statistics ----------------------------------------------------------------------------------


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


# -- the page ------------------------------------------------------------------------------------


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
        "missing": 0, "unit": "image", "receipts": ["24 runs: commit abc"],
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
    plain = "-0.200 ± 0.000 | -0.984 ± 0.013 | 0.784 ± 0.013 | 9.85 ± 0.13 |  | 3.0 | 4 |"
    assert f"| 10 | plain | 0.1* | {plain}" in page
    assert "3, 1 not converged" in page
    assert "**Verdict.** `1.0/1` with 20 passes" in page
    assert "- 24 runs: commit abc" in page


def test_results_of_something_else_are_named(local, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"a\.json is not what gather"):
        local.results.read(tmp_path / "a.json")


def test_the_dose_is_of_backstitch_alone(local):
    assert local.figure.dose(BACKSTITCH) == 2.0
    assert local.figure.dose([]) == 0.0
    assert local.figure.dose([*BACKSTITCH, "network.dropout=0.5"]) is None


# -- parts of a corpus -----------------------------------------------------------------------------


def test_parts_of_a_set_are_apart_and_have_all_speakers(local):
    def cut(name):
        segment = SimpleNamespace(speaker=name[:1])
        return SimpleNamespace(id=name, supervisions=[segment])

    cuts = [cut(f"{speaker}-{n:02d}") for speaker in "abcd" for n in range(8)]
    parts = [local.part_of_set.part(cuts, 4, first) for first in range(4)]
    ids = [{cut.id for cut in part} for part in parts]
    assert set.union(*ids) == {cut.id for cut in cuts}
    assert sum(map(len, ids)) == len(cuts)
    assert all({name[0] for name in part} == set("abcd") for part in ids)
    halves = [local.part_of_set.part(cuts, speakers=f"{n}/2") for n in (0, 1)]
    assert [{cut.id[0] for cut in half} for half in halves] == [{"a", "c"}, {"b", "d"}]
    with pytest.raises(UsageError, match="wanted some of a,b,c,d"):
        local.part_of_set.part(cuts, speakers="a,x")


# -- the whole of it -------------------------------------------------------------------------------


def run_recipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(RECIPE / "run.sh"), *arguments], capture_output=True, text=True, timeout=600
    )


def test_without_an_experiment_it_says_what_is_missing():
    done = run_recipe()
    assert done.returncode == 2
    assert "--experiment is missing" in done.stderr


@pytest.mark.recipe
def test_an_experiment_of_ones_own_goes_to_its_table_and_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("tune", "report"):
        for name, count in (("train", 64), ("valid", 40)):
            labels = rng.integers(3, size=count)
            pixels = rng.integers(80, size=(count, 8, 8, 1)) + 60 * labels[:, None, None, None]
            images = ImageSet(pixels.astype(np.uint8), labels.astype(np.int64), ["a", "b", "c"])
            write_images(images, tmp_path / "data" / "tiny" / part / name)
    (tmp_path / "data" / "tiny" / "ready").touch()
    (tmp_path / "conf" / "nets").mkdir(parents=True)
    (tmp_path / "conf" / "tiny.toml").write_text(TINY)
    net = (RECIPE / "conf" / "nets" / "mlp.toml").read_text().replace("[256, 256]", "[8]")
    (tmp_path / "conf" / "nets" / "tiny.toml").write_text(net)
    size = ("--experiment", "tiny", "--conf", str(tmp_path / "conf"), "--work", str(tmp_path))
    done = run_recipe(*size)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "2 tuning runs and 4 reported ones" in done.stdout
    assert "Verdict: `1.0/1` with 2 passes against `plain`" in done.stdout
    page = (tmp_path / "exp" / "RESULTS.md").read_text()
    assert "## tiny" in page and str(tmp_path) not in page.split("By `")[0]
    result = json.loads((tmp_path / "exp" / "results" / "tiny.json").read_text())
    assert [run["seed"] for run in result["runs"]] == [0, 0, 1, 1]
    assert all("/report/" in run["command"] for run in result["runs"])
    assert all(str(tmp_path / "data") not in run["command"] for run in result["runs"])
    again = run_recipe(*size)
    assert "2 trainings, 2 of them done; 0 to do" in again.stdout
    assert json.loads((tmp_path / "exp" / "results" / "tiny.json").read_text()) == result
