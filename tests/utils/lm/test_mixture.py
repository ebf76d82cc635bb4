"""Mixtures are those of the definition; perplexities agree with an independent computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.errors import UsageError
from chainstitch.utils.lm import mixture
from chainstitch.utils.lm.arpa_file import read_model, write_model
from chainstitch.utils.lm.model import BackoffModel
from chainstitch.utils.lm.perplexity import perplexity
from tests.language_models import as_dict, assert_same, draw_sentences, write_text
from tests.reference import ngrams

HELD_OUT = [*draw_sentences(60, 14, seed=5), ["w99", "w1"], ["w0", "w14"]]  # unknown words, too


def test_weights_and_mixture_are_those_of_the_definition(
    arpas: list[Path], models: list[BackoffModel], tmp_path: Path
) -> None:
    text = write_text(tmp_path / "text", HELD_OUT)
    twins = [ngrams.read(path) for path in arpas]
    wanted = ngrams.em(twins, HELD_OUT)
    weights, steps = mixture.best_weights(models, text)
    assert weights == pytest.approx(wanted, abs=1e-9) and 1 < steps < 100
    assert_same(as_dict(mixture.mix(models, weights)), ngrams.mixture(twins, wanted))


def test_the_perplexity_of_a_mixture_is_that_of_an_independent_computation(
    arpas: list[Path], models: list[BackoffModel], tmp_path: Path
) -> None:
    text = write_text(tmp_path / "text", HELD_OUT)
    weights, _ = mixture.best_weights(models, text)
    write_model(mixture.mix(models, weights), tmp_path / "mixed.arpa")
    twin = ngrams.mixture([ngrams.read(path) for path in arpas], [float(w) for w in weights])
    wanted = ngrams.perplexity(twin, HELD_OUT)
    assert perplexity(read_model(tmp_path / "mixed.arpa"), text).perplexity == pytest.approx(
        wanted, rel=1e-6
    )
    both = [perplexity(model, text) for model in models]
    for score, path in zip(both, arpas, strict=True):
        assert score.perplexity == pytest.approx(
            ngrams.perplexity(ngrams.read(path), HELD_OUT), rel=1e-9
        )
        assert not score.scores_oov and score.oov > 0 and "left out" in str(score)


def test_a_model_mixed_with_itself_stays_what_it_is(models: list[BackoffModel]) -> None:
    mixed = mixture.mix([models[0], models[0]], np.array([0.3, 0.7]))
    assert_same(as_dict(mixed), as_dict(models[0]), 1e-9)


@pytest.mark.parametrize(
    ("heldout", "given", "wanted"),
    [
        (None, None, "one of the two"),
        ("text", [0.5, 0.5], "one of the two"),
        (None, [1.0], "1 weights for 2 models"),
        (None, [0.5, 0.6], "wanted a sum of 1"),
        (None, [float("nan"), 0.5], "wanted a sum of 1"),
    ],
)
def test_weights_that_cannot_be_are_refused(
    models: list[BackoffModel], heldout: str | None, given: list[float] | None, wanted: str
) -> None:
    with pytest.raises(UsageError, match=wanted):
        mixture.choose_weights(models, heldout, given)
