"""What all tasks have in common at the command line: the task's name, its inputs, its options."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainstitch.nnet.tasks import run
from chainstitch.nnet.tasks.speech_config import NetworkText, SpeechConfig
from chainstitch.utils import config as configs
from chainstitch.utils.errors import UsageError
from tests import images
from tests.toy import XCONFIG, Toy
from tests.toy import run as command

WANTED = "network.xconfig"  # the one key without a default


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command that exits with 2 says, in one line."""
    assert command(*arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def test_a_config_without_a_task_is_refused(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "old.toml"
    conf.write_text(toy.conf.read_text().replace('task = "speech"\n', ""))
    said = refused(capsys, *toy.arguments(tmp_path / "exp", conf=conf))
    assert f"{conf} has no task" in said and 'task = "speech" (there are speech, images)' in said
    conf.write_text(toy.conf.read_text().replace('"speech"', '"music"'))
    said = refused(capsys, *toy.arguments(tmp_path / "exp", conf=conf))
    assert f"{conf}: task = 'music' is not one of speech, images" in said
    said = refused(capsys, *toy.arguments(tmp_path / "exp", "--set", "task=images"))
    assert f"{toy.conf} is a config of task 'speech'" in said
    said = refused(capsys, *toy.arguments(tmp_path / "exp", conf=tmp_path / "none.toml"))
    assert "none.toml does not exist" in said
    conf.write_text("task = ")
    assert "not valid TOML" in refused(capsys, *toy.arguments(tmp_path / "exp", conf=conf))
    assert not (tmp_path / "exp").exists()


def test_options_of_a_task_are_wanted_by_it_and_refused_by_others(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.write(tmp_path)
    data = ("--data", toy.train, "--valid", toy.dev, "--out", tmp_path / "exp")
    said = refused(capsys, "train", toy.conf, *data)
    assert "task = 'speech' wants --lang; its inputs are --data --valid --lang --den" in said
    assert "may have --ali --valid-ali --ali-lattice" in said
    said = refused(capsys, *images.arguments(tmp_path, tmp_path / "exp", "--lang", toy.lang))
    assert "task = 'images' does not take --lang; its inputs are --data --valid" in said
    assert "may have" not in said
    said = refused(capsys, "train", tmp_path / "conf.toml", "--data", tmp_path, "--out", "exp")
    assert "wants --valid" in said
    assert not (tmp_path / "exp").exists()


def test_inputs_are_the_options_that_were_given() -> None:
    given = {name: Path(name) for name in ("data", "valid", "lang", "den")}
    found = run.make_inputs("speech", 3, given | {"ali": None, "valid_ali": None})
    assert (found.data, found.den, found.ali, found.seed) == ("data", "den", "", 3)  # type: ignore[attr-defined]
    found = run.make_inputs("speech", 0, given | {"ali": Path("a"), "valid_ali": None})
    assert found.valid_ali == "a"  # type: ignore[attr-defined]


def test_the_model_of_another_task_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs.save(SpeechConfig(NetworkText(XCONFIG)), tmp_path / "config.toml")
    with pytest.raises(UsageError, match=r"is a run of task 'speech'; wanted one of 'images'"):
        run.load(tmp_path, "images")
    said = refused(capsys, "classify", tmp_path, "--data", "x", "--out", tmp_path / "d")
    assert "is a run of task 'speech'" in said
    (tmp_path / "config.toml").write_text('task = "images"\n')
    with pytest.raises(UsageError, match=r"is a run of task 'images'; wanted one of 'speech'"):
        run.load(tmp_path, "speech")
    assert not (tmp_path / "d").exists()


def test_help_shows_the_options_of_a_task_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("train", "--help") == 0
    common, _, speech = capsys.readouterr().out.partition("\nOptions of task speech:\n")
    assert [line.split()[0] for line in speech.splitlines() if line.startswith("  --")] == [
        "--lang", "--den", "--ali", "--valid-ali", "--ali-lattice"
    ]  # fmt: skip
    assert "\n  --data " in common and "\n  --lang " not in common
    shown = common + speech
    for name in run.TASKS:  # every input of every task is an option
        for field in dataclasses.fields(run.task_called(name, "test").Inputs):
            assert f"--{field.name.replace('_', '-')} " in shown


def leaves(cls: type[Any], prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    """Dotted name, field and type of all that is no section."""
    types = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(types[field.name]):
            yield from leaves(typing.cast(type, types[field.name]), f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field, types[field.name]


@pytest.mark.parametrize("name", run.TASKS)
def test_every_key_of_a_config_has_a_meaning(name: str) -> None:
    cls = run.task_called(name, "test").Config
    assert [key for key, field, _ in leaves(cls) if not field.metadata.get("help")] == []


@pytest.mark.parametrize("name", run.TASKS)
def test_help_of_configs_is_a_config(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("train", "--help-config") == 0
    texts = capsys.readouterr().out.split("# A config of task ")[1:]
    shown = {text.partition(";")[0]: text.partition("\n")[2] for text in texts}
    assert list(shown) == list(run.TASKS)
    conf = tmp_path / "conf.toml"
    conf.write_text(shown[name].replace("# xconfig = ... (wanted)", 'xconfig = "x"'))
    cls = run.task_called(name, "test").Config
    found = run.load_config(conf)
    assert configs.load(conf, cls) == found and found.task == name
    keys = [key for key, _, _ in leaves(cls)]
    (tmp_path / "short.toml").write_text(f'task = "{name}"\n')
    wanted = [f"{WANTED}=x"] if WANTED in keys else []
    assert found == run.load_config(tmp_path / "short.toml", wanted)  # the defaults
    lines = [line for line in conf.read_text().splitlines() if " = " in line and line[0] != "#"]
    assert sorted(line.split(" = ")[0] for line in lines) == sorted(k.split(".")[-1] for k in keys)
