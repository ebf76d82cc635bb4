"""egs/backstitch: what is tuned is not reported, runs are kept, the best rate is chosen."""

from __future__ import annotations

import doctest
import importlib
import json
from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError, UserError
from tests.recipes.backstitch_scripts import EXPERIMENTS, NAMES, RECIPE, TINY, choices, read


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
    most = experiment.rates[-1], experiment.tune_seeds[0]  # shrinking bounds the rate
    for run in local.experiment.tuning_runs(experiment):
        if (run.rate, run.seed) != most:
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
