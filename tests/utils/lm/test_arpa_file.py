"""ARPA files to models and back: the same numbers, the same bytes; what lies is named by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.lm import arpa_file
from chainstitch.utils.lm.arpa_file import read_model, write_model
from chainstitch.utils.lm.model import BackoffModel
from tests.language_models import as_dict, assert_same
from tests.reference import ngrams


def test_a_model_read_is_the_file(arpas: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arpa_file, "LINES", 7)
    for path in arpas:
        assert_same(as_dict(read_model(path)), ngrams.read(path), 1e-12)


def test_a_model_written_is_read_again_and_gzip_holds_the_same(
    models: list[BackoffModel], tmp_path: Path
) -> None:
    for name in ("arpa", "arpa.gz"):
        write_model(models[0], tmp_path / name)
        assert_same(as_dict(read_model(tmp_path / name)), as_dict(models[0]), 1e-6)
    assert gzip.decompress((tmp_path / "arpa.gz").read_bytes()) == (tmp_path / "arpa").read_bytes()
    write_model(models[0], tmp_path / "arpa.gz.2")
    assert (tmp_path / "arpa.gz.2").read_bytes() == (tmp_path / "arpa").read_bytes()


def test_log_probs_are_those_of_the_definition(models: list[BackoffModel]) -> None:
    draws = np.random.default_rng(0)
    for model in models:
        rows = draws.integers(-1, len(model.words), (500, model.order + 1))
        twin = as_dict(model)
        words = [word.decode() for word in model.words] + ["not there"]
        wanted = [ngrams.log_prob(twin, tuple(words[w] for w in row)) for row in rows]
        assert model.log_probs(rows) == pytest.approx(wanted, abs=1e-9)


SMALL = (
    "\\data\\\nngram 1=4\nngram 2=2\nngram 3=1\n\n\\1-grams:\n-1\t<s>\t-0.1\n-1\t</s>\n"
    "-1\ta\t-0.1\n-1\tb\n\n\\2-grams:\n-0.5\ta b\n-0.4\t<s> a\n\n"
    "\\3-grams:\n-0.3\t<s> a b\n\n\\end\\\n"
)
LIES = {
    "twice": ("-0.4\t<s> a", "-0.4\ta b", "line 14: this n-gram stands above already"),
    "word twice": ("-1\tb\n", "-1\ta\n", "line 10: this n-gram stands above already"),
    "no history": ("\t<s> a b", "\tb a b", "line 17: 'b a' is no 2-gram, 'b a b' is one"),
    "no 1-gram": ("\t<s> a b", "\t<s> a c", "line 17: '<s> a c': a word of it is no 1-gram"),
    "count": ("ngram 2=2", "ngram 2=3", "line 16: 2 2-grams above, the header promises 3"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_lies_is_named_by_line(name: str, tmp_path: Path) -> None:
    old, new, wanted = LIES[name]
    assert old in SMALL
    (tmp_path / "lm").write_text(SMALL.replace(old, new, 1))
    with pytest.raises(UserError, match=wanted):
        read_model(tmp_path / "lm")
