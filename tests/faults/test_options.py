"""Numbers that cannot be, in options and configs: one line names the key, and nothing is begun."""

from __future__ import annotations

import dataclasses
import sys
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chainstitch.bin.main import COMMANDS
from chainstitch.nnet.ivector.sets import IvectorConfig
from chainstitch.nnet.tasks.run import TASKS, task_called
from chainstitch.utils import config, job_parts
from chainstitch.utils.bounds import interval
from chainstitch.utils.data.chunks import ChunkSplitter
from chainstitch.utils.data.features import FeatureConfig
from chainstitch.utils.errors import UsageError
from chainstitch.utils.queue.site import Site
from chainstitch.utils.score.sweep import Choice
from tests import images
from tests.toy import Toy, fingerprint, run

HUGE = 10**18

SET = [  # keys of a speech config: value, and what is said of it
    ("network.subsampling", 0, "network.subsampling wants 1 to 100, found 0"),
    ("network.subsampling", HUGE, "network.subsampling wants 1 to 100"),
    ("chain.backend", "gpu", 'chain.backend = "gpu" wants a GPU'),
    ("chain.tolerance", HUGE, "chain.tolerance wants 0 to 10000"),
    ("chain.leaky", 1, "chain.leaky wants 0 or more, below 1, found 1.0"),
    ("chain.output_l2", -1, "chain.output_l2 wants 0 or more, found -1.0"),
    ("chain.out_of_range", "1e400", "chain.out_of_range wants a finite number, found inf"),
    ("chain.xent_regularize", "nan", "chain.xent_regularize wants a finite number, found nan"),
    ("training.minibatch_size", HUGE, "training.minibatch_size wants 1 to 1000000"),
    ("training.minibatch_size", 0, "training.minibatch_size wants 1 to 1000000, found 0"),
    ("training.passes", HUGE, "training.passes wants above 0, at most 1000000"),
    ("training.passes", 1000000, "iterations, each with a checkpoint"),
    ("training.frames_per_iteration", 10**30, "training.frames_per_iteration wants 1 to"),
    ("training.accumulate", HUGE, "training.accumulate wants 1 to 10000"),
    ("training.jobs_final", HUGE, "training.jobs_final wants 1 to 1000"),
    ("training.left_context", HUGE, "training.left_context wants 0 to 10000"),
    ("training.right_context", -1, "training.right_context wants 0 to 10000, found -1"),
    ("training.minibatch_rule", f'"{"9" * 5000}"', "minibatch_rule"),
    ("training.dropout_schedule", '"0,nan"', "dropout_schedule: found 'nan'"),
    ("optim.initial_lr", "1" + "0" * 400, "optim.initial_lr wants a finite number, found inf"),
    ("optim.initial_lr", "1" + "0" * 5000, "--set 'optim.initial_lr=1000"),
    ("optim.initial_lr", 0, "optim.initial_lr wants above 0, found 0.0"),
    ("optim.patience", HUGE, "optim.patience wants 0 to 1000000"),
    ("optim.momentum", 1, "optim.momentum wants 0 or more, below 1, found 1.0"),
    ("optim.max_change", -1, "optim.max_change wants 0 or more"),
    ("optim.backstitch.interval", 0, "optim.backstitch.interval wants 1 to 1000000, found 0"),
    ("optim.backstitch.interval", HUGE, "optim.backstitch.interval wants 1 to 1000000"),
    ("optim.backstitch.scale", -0.1, "optim.backstitch.scale wants 0 or more, found -0.1"),
    ("optim.plateau.factor", 1, "optim.plateau.factor wants above 0, below 1, found 1.0"),
    ("losses.activation.weight", -1, "losses.activation.weight wants 0 or more"),
    ("graph.ngram_order", HUGE, "graph.ngram_order wants 1 to 20"),
    ("optim.x", "[" * 3000, "--set 'optim.x=[[["),
]  # fmt: skip

OPTIONS = [  # of a command: what is asked, and what is said
    ("train", "--seed 18446744073709551616", "'--seed'"),
    ("train", "--num-threads 1000000000000000000", "'--num-threads'"),
    ("train", "--processes 1000000000000000000", "'--processes'"),
    ("decode", "--lmwt 1:1000000", "--lmwt 1:1000000: these are more values than 1000"),
    ("decode", "--lmwt 1:100 --wip 0,1,2,3,4,5,6,7,8,9,10", "1100 points; wanted at most 1000"),
    ("decode", "--lmwt 0.00001", "more than three decimals"),
    ("decode", "--wip nan", "--wip 'nan': wanted a range or a list"),
    ("decode", "--wip 1e300", "1e+300 is beyond 1000"),
    ("decode", "--beam nan", "'--beam'"),
    ("decode", "--beam inf", "--beam"),
    ("decode", "--lattice-beam 1e300", "'--lattice-beam'"),
    ("decode", "--nj 1000000000000000000", "'--nj'"),
    ("decode", "--merge 1000000000000000000", "'--merge'"),
    ("decode", "--part 1/99999999999999999999", "--part '1/99999999999999999999': wanted e.g. 3/8"),
    ("align", "--acoustic-scale nan", "'--acoustic-scale'"),
    ("align", "--boost-silence nan", "'--boost-silence'"),
    ("align", "--max-dropped nan", "'--max-dropped'"),
    ("align", "--shift 1000000000000000000", "'--shift'"),
    ("combine", "--max-models 1000000000000000000", "'--max-models'"),
    ("den-graph", "--seed -1", "'--seed'"),
    ("info", "--hours nan", "'--hours'"),
    ("info", "--num-pdfs 1000000000000000000", "'--num-pdfs'"),
    ("run", "--max-time 99999999999999d", "--max-time '99999999999999d': wanted"),
    ("run", "--gpu 1000000000000000000", "'--gpu'"),
]

FEATURES = [
    ("sampling_rate", HUGE, "sampling_rate wants 1000 to 1000000"),
    ("num_mel_bins", 10**9, "num_mel_bins wants 1 to 1000"),
    ("num_ceps", 0, "num_ceps wants 1 to 1000, found 0"),
    ("speed", "[1e-9]", "speed wants 0.1 to 10, found 1e-09"),
    ("speed", "[1e18]", "speed wants 0.1 to 10"),
    ("volume", "[0, 1]", "volume wants above 0, at most 1000"),
    ("causal_prior_frames", 0, "causal_prior_frames wants above 0"),
    ("low_freq", "nan", "low_freq wants a finite number"),
]


def one_line(capsys: pytest.CaptureFixture[str], command: str, *said: str) -> None:
    """That the last command said why in one line, and nothing else."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"chainstitch {command}: error: ") and len(line) < 1000, line
    assert all(text in line for text in said), line


@pytest.mark.parametrize(("key", "value", "said"), SET)
def test_a_config_that_cannot_be(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: Any, said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert run(*toy.arguments(tmp_path / "exp", "--set", f"{key}={value}")) == 2
    one_line(capsys, "train", said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("key", "value", "said"), FEATURES)
def test_features_that_cannot_be(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: Any, said: str
) -> None:
    inputs = ["--data", toy.place / "dev", "--out", tmp_path / "out", "--set", f"{key}={value}"]
    assert run("features", toy.place / "mfcc.toml", *inputs) == 2
    one_line(capsys, "features", said)
    assert not list(tmp_path.iterdir())


def test_networks_that_no_memory_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.write(tmp_path)
    before = fingerprint(tmp_path)
    for key, value, said in (
        ("network.filters", "[4, 4, 1000000000]", "network.filters wants 1 to 65536"),
        ("network.filters", "[65536, 65536, 65536]", "GB of memory"),
        ("network.width", "1000", "width = 1000 wants"),
        ("training.max_shift", "1e18", "training.max_shift wants 0 to 32"),
        ("training.train_measured", "0", "training.train_measured wants 1 to"),
    ):
        values = ["--set", f"{key}={value}"]
        if key == "network.width":
            values += ["--set", "network.filters=[60000, 60000, 60000]"]
        assert run(*images.arguments(tmp_path, tmp_path / "exp", *values)) == 2
        one_line(capsys, "train", said)
    assert fingerprint(tmp_path) == before


@pytest.mark.parametrize(("command", "options", "said"), OPTIONS)
def test_an_option_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    command: str, options: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    wanted = {
        "train": "none.toml --out out",
        "decode": "in --data in --lang in --out out",
        "align": "in --data in --out out",
        "combine": "in",
        "den-graph": "none.toml --lang in --out out",
        "info": "in",
        "run": "log true",
    }
    given = wanted[command].split()
    arguments = [*options.split(), *given] if command == "run" else [*given, *options.split()]
    if "--part" in options:  # which is looked at when the features are there
        with pytest.raises(UsageError) as caught:
            job_parts.parse(options.split()[1])
        assert said in str(caught.value)
        return
    assert run(command, *arguments) == 2
    one_line(capsys, command, said)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


# -- that none can be forgotten ------------------------------------------------------------------

CONFIGS = [FeatureConfig, IvectorConfig, Site, Choice]
CONFIGS += [getattr(task_called(name, ""), kind) for name in TASKS for kind in ("Config", "Inputs")]


def numbers(cls: type[Any], prefix: str = "") -> typing.Iterator[tuple[str, str | None]]:
    """Each key of a config with numbers, and its bounds."""
    types = typing.get_type_hints(cls)
    for each in dataclasses.fields(cls):
        wanted = types[each.name]
        if dataclasses.is_dataclass(wanted):
            yield from numbers(typing.cast(type, wanted), f"{prefix}{each.name}.")
        elif {int, float} & {wanted, *typing.get_args(wanted)}:
            yield prefix + each.name, each.metadata.get("bounds")


@pytest.mark.parametrize("cls", CONFIGS, ids=lambda cls: cls.__name__)
def test_every_number_of_a_config_has_bounds_that_its_default_keeps(cls: type[Any]) -> None:
    found = dict(numbers(cls))
    assert found and None not in found.values()
    for key, bounds in found.items():
        assert interval(str(bounds)).holds(float("nan")) is False, key
    shown = config.explain(cls)
    for bounds in found.values():
        assert f"({interval(str(bounds))})" in " ".join(shown.replace("\n#", "").split())


def test_a_number_without_bounds_is_a_mistake_of_ours(tmp_path: Path) -> None:
    @dataclass
    class Forgetful:
        rank: int = 3

    @dataclass
    class Mindful:
        rank: int = field(default=3, metadata={"bounds": "any"})

    (tmp_path / "x.toml").write_text("rank = 4")
    with pytest.raises(TypeError, match="rank has no bounds"):
        config.build(Forgetful, {"rank": 4}, "x")
    assert config.build(Mindful, {"rank": 4}, "x") == Mindful(4)


def functions() -> typing.Iterator[typing.Callable[..., Any]]:
    """What the commands and their subcommands run."""
    for function in COMMANDS.values():
        yield function
        yield from getattr(sys.modules[function.__module__], "SUBCOMMANDS", {}).values()


def test_every_number_among_the_options_has_both_bounds() -> None:
    seen = 0
    for function in functions():
        for name, hint in typing.get_type_hints(function, include_extras=True).items():
            wanted, *infos = typing.get_args(hint) or (hint,)
            if {int, float} & {wanted, *typing.get_args(wanted)}:
                seen += 1
                (info,) = infos
                both = info.min is not None and info.max is not None
                assert both, f"{function.__module__}.{function.__name__}: {name}"
    assert seen > 30


def test_parts_of_a_bound_are_said_in_words() -> None:
    said = {
        "[1, 64]": "1 to 64", "(0, 1)": "above 0, below 1", "[0, inf)": "0 or more",
        "(0, 1]": "above 0, at most 1", "[0, 1] or -1": "0 to 1, or -1", "any": "a finite number",
        "[1, 1000000000000]": "1 to 1000000000000",
    }  # fmt: skip
    assert {text: str(interval(text)) for text in said} == said
    for value in (float("nan"), float("inf"), -float("inf")):
        assert not any(interval(text).holds(value) for text in said)
    with pytest.raises(ValueError, match="wanted"):
        interval("1..3")


@pytest.mark.parametrize("text", ["9999999999", "140," * 30 + "140", "9" * 5000, "0", "-1", "x"])
def test_chunks_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError, match="at most 20 of them and 100000 frames each") as caught:
        ChunkSplitter(text)
    assert len(str(caught.value)) < 300


def test_an_extractor_that_no_memory_holds(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf.toml").write_text("num_gauss = 65536\ndim = 10000\n")
    command = ["ivectors", "train", tmp_path / "conf.toml", "--data", toy.train]
    assert run(*command, "--out", tmp_path / "out") == 2
    one_line(capsys, "ivectors", "num_gauss = 65536 with dim = 10000 wants")
    assert not (tmp_path / "out").exists()
