"""Two small models."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.model import BackoffModel
from tests.language_models import draw_sentences, write_arpa
from tests.reference import ngrams


@pytest.fixture(scope="session")
def arpas(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two ARPA files of the twin: a trigram, and a bigram of other words."""
    place = tmp_path_factory.mktemp("arpas")
    found = []
    for order, vocabulary, seed in ((3, 12, 1), (2, 15, 2)):
        sentences = draw_sentences(150, vocabulary, seed)
        model = ngrams.kneser_ney(sentences, order, [1] * (order - 1), None)
        path = place / f"{order}.arpa"
        write_arpa(path, model)
        found.append(path)
    return found


@pytest.fixture
def models(arpas: list[Path]) -> list[BackoffModel]:
    return [read_model(path) for path in arpas]
