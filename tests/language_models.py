"""Small texts, and language models in the form of the twin (tests/reference)."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from chainstitch.utils.lm.model import BackoffModel
from tests.reference import ngrams

Sentences = list[list[str]]


def draw_sentences(number: int, vocabulary: int, seed: int) -> Sentences:
    """Words of very different frequency; the second letter of a word depends on the one before."""
    draw = random.Random(seed)
    words = [f"w{n}" for n in range(vocabulary)]
    weights = [1 / (n + 1) for n in range(vocabulary)]
    found = []
    for _ in range(number):
        sentence = draw.choices(words, weights, k=1)
        while draw.random() < 0.8:
            after = int(sentence[-1][1:]) * 3
            near = [words[(after + n) % vocabulary] for n in range(3)]
            sentence.append(draw.choice(near) if draw.random() < 0.6 else draw.choices(words)[0])
        found.append(sentence)
    return found


def write_text(path: Path, sentences: Sentences) -> Path:
    path.write_text("".join(" ".join(s) + "\n" for s in sentences), encoding="utf-8")
    return path


def write_arpa(path: Path, model: ngrams.Model) -> None:
    """In the order of the dict, which is none that is sorted."""
    orders = range(1, ngrams.order_of(model) + 1)
    lines = ["\\data\\", *(f"ngram {n}={sum(len(g) == n for g in model)}" for n in orders)]
    for n in orders:
        lines += ["", f"\\{n}-grams:"]
        for ngram, (logp, weight) in model.items():
            if len(ngram) == n:
                back = f"\t{weight!r}" if n < len(orders) else ""
                lines.append(f"{logp!r}\t{' '.join(ngram)}{back}")
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")


def any_arpa(order: int) -> str:
    """A model of any probabilities, of a to d, so that backing off is sometimes the cheaper way."""
    rng = np.random.default_rng(order)
    grams = [[("<s>",), ("</s>",), *((word,) for word in "abcd")]]
    for _ in range(order - 1):
        longer = [(*g, w) for g in grams[-1] if g[-1] != "</s>" for w in ("</s>", *"abcd")]
        grams.append([g for g in longer if rng.random() < 0.5])
    lines = ["\\data\\", *(f"ngram {n}={len(some)}" for n, some in enumerate(grams, 1))]
    for n, some in enumerate(grams, 1):
        lines += ["", f"\\{n}-grams:"]
        for gram in (some[i] for i in rng.permutation(len(some))):
            backoff = f"\t{rng.uniform(-1, 0.2):.4f}" if n < order and gram[-1] != "</s>" else ""
            lines.append(f"{rng.uniform(-2, -0.1):.4f}\t{' '.join(gram)}{backoff}")
    return "\n".join([*lines, "", "\\end\\", ""])


def as_dict(model: BackoffModel) -> ngrams.Model:
    """A model in the form of the twin."""
    words = [word.decode() for word in model.words]
    found: ngrams.Model = {}
    for n in range(1, model.order + 1):
        level = model.levels[n - 1]
        for row, logp, weight in zip(model.rows(n), level.logp, level.backoff, strict=True):
            found[tuple(words[w] for w in row)] = (float(logp), float(weight))
    return found


def assert_same(found: ngrams.Model, wanted: ngrams.Model, exact: float = 1e-9) -> None:
    """Same n-grams, same numbers; back-off weights of the highest order are not compared."""
    assert set(found) == set(wanted)
    longest = ngrams.order_of(wanted)
    for ngram, (logp, weight) in wanted.items():
        assert found[ngram][0] == pytest.approx(logp, abs=exact), ngram
        if len(ngram) < longest:
            assert found[ngram][1] == pytest.approx(weight, abs=exact), ngram
