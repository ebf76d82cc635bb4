"""TOML configs: what is filled in, what is refused, and that what is saved can be read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chainstitch.utils import config
from chainstitch.utils.errors import UsageError


@dataclass
class Backstitch:
    scale: float = field(default=0.0, metadata={"bounds": "[0, inf)"})
    interval: int = field(default=1, metadata={"bounds": "[1, 1000]"})


@dataclass
class Optim:
    lr: float = field(default=1e-3, metadata={"bounds": "any"})
    backstitch: Backstitch = field(default_factory=Backstitch)


@dataclass
class Config:
    name: str
    epochs: int = field(default=4, metadata={"bounds": "any"})
    speed: list[float] = field(default_factory=lambda: [1.0], metadata={"bounds": "(0, 10]"})
    shuffle: bool = True
    optim: Optim = field(default_factory=Optim)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be 1 or more, found {self.epochs}")


def load(tmp_path: Path, text: str, *overrides: str) -> Config:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path, Config, overrides)


def test_defaults_fill_what_is_absent(tmp_path: Path) -> None:
    assert load(tmp_path, 'name = "a"') == Config("a")


def test_file_sections_and_overrides(tmp_path: Path) -> None:
    text = 'name = "a"\nspeed = [1, 1.1]\n[optim]\nlr = 1\n[optim.backstitch]\nscale = 0.3\n'
    loaded = load(tmp_path, text, "optim.backstitch.interval=4", "epochs = 2", "shuffle=false")
    expected = Optim(1.0, Backstitch(0.3, 4))
    assert loaded == Config("a", 2, [1.0, 1.1], False, expected)
    assert isinstance(loaded.optim.lr, float)
    assert all(isinstance(value, float) for value in loaded.speed)


@pytest.mark.parametrize(
    ("override", "name"),
    [("name=bare words", "bare words"), ('name="quoted"', "quoted"), ("name=a=b", "a=b")],
)
def test_override_may_be_a_bare_string(tmp_path: Path, override: str, name: str) -> None:
    assert load(tmp_path, "", override).name == name


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        ("", [], "missing key 'name'"),
        ('name = "a"\nepoch = 3', [], "unknown key 'epoch'; did you mean 'epochs'?"),
        ('name = "a"\nzzz = 3', [], "known: name, epochs"),
        ('name = "a"\n[optim.backstich]', [], "did you mean 'optim.backstitch'?"),
        ('name = "a"', ["optim.backstitch.scal=1"], "did you mean 'optim.backstitch.scale'?"),
        ('name = "a"', ["epochs"], "wanted section.key=value"),
        ('name = "a"', ["=3"], "wanted section.key=value"),
        ('name = "a"', ["name.x=3"], "'name' is a value, not a section"),
        ('name = "a"', ["epochs=x"], "epochs wants a value of type int, found 'x'"),
        ('name = "a"\nepochs = 1.5', [], "epochs wants a value of type int, found 1.5"),
        ('name = "a"\nepochs = true', [], "epochs wants a value of type int, found True"),
        ('name = "a"\nshuffle = 1', [], "shuffle wants a value of type bool"),
        ('name = "a"\nspeed = 1.0', [], "speed wants a list"),
        ('name = "a"\nspeed = ["x"]', [], "speed wants a value of type float"),
        ('name = "a"\noptim = 3', [], "optim is a section, found the value 3"),
        ('name = "a"\n[optim]\nlr = true', [], "optim.lr wants a value of type float"),
        ('name = "a"\nepochs = 0', [], "epochs must be 1 or more, found 0"),
        ('name = "a', [], "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, overrides: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text, *overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.toml does not exist"):
        config.load(tmp_path / "none.toml", Config)


def test_directory_in_place_of_a_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        config.load(tmp_path, Config)


def test_bytes_that_are_not_utf8_are_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match=r"x.toml:1: byte 9 of the line, 0xff, is not UTF-8"):
        config.load(tmp_path / "x.toml", Config)


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        'quo"te',
        "back\\slash",
        "two\nlines",
        "\nleading",
        "tab\t\r bell\x07 \x7f",
        "ünï",
        "",
    ],
)
def test_what_is_saved_can_be_read_back(tmp_path: Path, name: str) -> None:
    original = Config(name, 7, [], False, Optim(1e-30, Backstitch(1e20, 3)))
    config.save(original, tmp_path / "y.toml")
    assert config.load(tmp_path / "y.toml", Config) == original


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "y.toml").write_text('name = "a"\n')
    with pytest.raises(UsageError, match=f"optim.lr wants a finite number, found {value}"):
        config.load(tmp_path / "y.toml", Config, [f"optim.lr={value}"])
