"""An experiment, as conf/NAME.toml describes it, and the trainings that it consists of.

    question    what is asked, for the page
    data        what stage 0 prepares (data.sh), and the directory below data/ that it does it in
    net         the training config, a name in conf/nets
    passes      numbers of passes; everything is done for each of them, and tuned for each
    rates       initial learning rates that are tried; the final one is a tenth of it
    tune_seeds  of the runs that choose the rate; seeds: of those that are reported, all others
    choose_by   what a rate is chosen by: valid_objf, or error (images only)
    against     the form that the others are compared with, seed by seed
    settings    of all forms, where the net's are others
    error       what is counted: "error %" or "WER %"
    seconds     {start, pass, test}: of a run, of a pass of plain training, of a test
    verdict     best: of what the tuning runs prefer; each: of every form (verdict.py)
    rows        modules of local/ whose add_rows() the runs want
    [forms]     what is compared: a name, and its settings, as `chainstitch train --set` takes them
    [controls]  what else is said to help: as forms, with several values, of which the best counts
    [quick]     keys that are others with --quick true; forms and controls: the names of those kept

A form is a list of settings, or a table {tried = [[settings], ...], net = "another", work = 2.0};
`work` is what a pass of it costs, in passes of plain training, where backstitch does not say so.
A form with several lists in `tried` is tuned over them as over the rates.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UsageError

CONF = Path("conf")  # the scripts run in the recipe's directory
PARTS = ("tune", "report")
AGAIN = "_again"  # ends the name of an experiment that is reported with other seeds than its own
FINAL = 0.1  # the last learning rate over the first
MEASURES = ("valid_objf", "error")


@dataclass(frozen=True)
class Form:
    """One way to train.

    Attributes:
        tried: lists of settings, of which the best one counts.
        net: the training config; "" is the experiment's.
        control: something that is not backstitch and may help, too.
    """

    name: str
    tried: tuple[tuple[str, ...], ...]
    net: str = ""
    work: float = 0.0
    control: bool = False

    def cost(self, variant: int) -> float:
        """Passes of plain training that a pass of it is worth."""
        return self.work or cost(self.tried[variant])


@dataclass(frozen=True)
class Experiment:
    """A whole conf/NAME.toml; see the text of the module."""

    name: str
    question: str
    data: str
    net: str
    passes: tuple[int, ...]
    rates: tuple[float, ...]
    tune_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    forms: dict[str, Form]
    seconds: dict[str, float]
    choose_by: str = "valid_objf"
    against: str = "plain"
    error: str = "error %"
    rows: tuple[str, ...] = ()
    verdict: str = "best"
    settings: tuple[str, ...] = ()


def add_options(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Which experiment, on the command line of a script, for `asked`."""
    parser.add_argument("experiment", nargs=nargs, default="", help="its name in conf/")
    parser.add_argument("--conf", type=Path, default=CONF, help="where NAME.toml and nets/ are")
    parser.add_argument("--quick", default="false", help="true: the keys of [quick]")
    parser.add_argument(
        "--seeds", default="", help="'A B ...': reported with these seeds, not the experiment's"
    )


def asked(given: argparse.Namespace) -> Experiment:
    """The experiment that the options of `add_options` name.

    Raises:
        UsageError: as `load`; the seeds are no numbers, or those of tuning.
    """
    experiment = load(given.experiment, given.quick == "true", given.conf)
    if not given.seeds:
        return experiment
    try:
        made = dataclasses.replace(
            experiment, seeds=tuple(map(int, given.seeds.split())), name=f"{experiment.name}{AGAIN}"
        )
        _check(made)
    except ValueError as error:
        raise UsageError(f"--seeds '{given.seeds}': {error}") from None
    return made


def load(name: str, quick: bool = False, conf: Path = CONF) -> Experiment:
    """The experiment of that name.

    Raises:
        UsageError: there is none, or its file says something that cannot be.
    """
    path = conf / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in conf.glob("*.toml")))
        raise UsageError(f"--experiment {name}: there is no {path}; known: {known}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return _read(name, content, quick)
    except (tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None


def _read(name: str, content: dict[str, Any], quick: bool) -> Experiment:
    changes = content.pop("quick", {})
    forms = {
        title: _form(title, what, control)
        for control, section in ((False, "forms"), (True, "controls"))
        for title, what in content.pop(section, {}).items()
    }
    if quick:
        kept = {*changes.pop("forms", ()), *changes.pop("controls", ())}
        if kept - forms.keys():
            raise ValueError(f"[quick] keeps {sorted(kept - forms.keys())}, which it has not")
        forms = {title: form for title, form in forms.items() if title in kept}
        content |= changes
        name += "_quick"
    for key in ("passes", "rates", "tune_seeds", "seeds", "rows", "settings"):
        content[key] = tuple(content.get(key, ()))
    made = Experiment(name=name, forms=forms, **content)
    _check(made)
    return made


def _form(name: str, what: Any, control: bool) -> Form:
    table = what if isinstance(what, dict) else {"tried": [what]}
    tried = tuple(tuple(map(str, settings)) for settings in table.get("tried", [[]]))
    return Form(name, tried, table.get("net", ""), float(table.get("work", 0.0)), control)


def _check(made: Experiment) -> None:
    both = set(made.seeds) & set(made.tune_seeds)
    if both:
        raise ValueError(
            f"seeds and tune_seeds share {sorted(both)}: what is tuned is not reported"
        )
    for key in ("passes", "rates", "tune_seeds", "seeds"):
        values = getattr(made, key)
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{key}: wanted different values, found {list(values)}")
    if len(made.seeds) < 2:
        raise ValueError("seeds: wanted two or more; there is no interval of one")
    if made.against not in made.forms:
        raise ValueError(f"against: wanted one of the forms, found {made.against!r}")
    if made.verdict not in ("best", "each"):
        raise ValueError(f"verdict: wanted best or each, found {made.verdict!r}")
    if made.choose_by not in MEASURES:
        raise ValueError(f"choose_by: wanted {' or '.join(MEASURES)}, found {made.choose_by!r}")


def cost(settings: tuple[str, ...]) -> float:
    """Passes through the network that a minibatch takes: 2 where backstitch treats it.

    >>> cost(("optim.backstitch.scale=1.0", "optim.backstitch.interval=4"))
    1.25
    """
    alpha, interval, _ = backstitch_of(settings)
    return 1.0 + 1.0 / interval if alpha else 1.0


def backstitch_of(settings: Sequence[str]) -> tuple[float, int, dict[str, str]]:
    """alpha (0 of plain training), the interval, and what else is set, by its key."""
    others = dict(setting.split("=", 1) for setting in settings)
    alpha = float(others.pop("optim.backstitch.scale", 0))
    return alpha, int(others.pop("optim.backstitch.interval", 4)), others


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        part: whether it chooses a rate, on one part of the data, or is reported, on another.
        variant: which of the form's lists of settings it has.
    """

    form: Form
    part: str
    passes: int
    rate: float
    variant: int
    seed: int

    @property
    def name(self) -> str:
        """Its directory: of letters that a file system, a shell and TensorBoard leave alone."""
        plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in self.form.name)
        several = f"_v{self.variant}" if len(self.form.tried) > 1 else ""
        return f"{plain}{several}_p{self.passes}_lr{self.rate:g}_s{self.seed}"

    @property
    def own(self) -> list[str]:
        """The settings that make it this form."""
        return list(self.form.tried[self.variant])

    def settings(self, common: tuple[str, ...] = ()) -> list[str]:
        """All that is set in the training config; `common`: what the experiment sets for all."""
        return [
            *common,
            f"training.passes={self.passes}",
            f"optim.initial_lr={self.rate:g}",
            f"optim.final_lr={FINAL * self.rate:g}",
            *self.own,
        ]


Chosen = Mapping[str, Mapping[str, Any]]  # "FORM at P passes" -> {rate, variant, ...}


def key(form: str, passes: int) -> str:
    """How a choice is called in chosen.json."""
    return f"{form} at {passes} passes"


def tuning_runs(experiment: Experiment) -> list[Run]:
    """All rates, all lists of settings, for each form and number of passes."""
    return [
        Run(form, "tune", passes, rate, variant, seed)
        for passes in experiment.passes
        for form in experiment.forms.values()
        for variant in range(len(form.tried))
        for rate in experiment.rates
        for seed in experiment.tune_seeds
    ]


def reported_runs(experiment: Experiment, chosen: Chosen) -> list[Run]:
    """Each form with what was chosen for it; seed by seed, so that a part of them can be compared.

    Raises:
        UsageError: nothing was chosen for a form.
    """
    runs = []
    for passes in experiment.passes:
        for seed in experiment.seeds:
            for form in experiment.forms.values():
                found = chosen.get(key(form.name, passes))
                if found is None:
                    raise UsageError(
                        f"no rate was chosen for {key(form.name, passes)}; begin with --stage 1"
                    )
                rate, variant = float(found["rate"]), int(found["variant"])
                runs.append(Run(form, "report", passes, rate, variant, seed))
    return runs


def predicted(run: Run, seconds: Mapping[str, float]) -> float:
    """Seconds that a run takes, by the figures in the experiment's file."""
    return seconds["start"] + run.passes * seconds["pass"] * run.form.cost(run.variant)


def clock(seconds: float) -> str:
    """What a person says.

    >>> clock(50), clock(600), clock(9000)
    ('50 s', '10 minutes', '2.5 hours')
    """
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
