"""What is pruned is what the definitions say, and as many as asked for; IRSTLM keeps the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainstitch.utils.errors import UsageError
from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.limit import limit
from chainstitch.utils.lm.model import BackoffModel
from chainstitch.utils.lm.prune import DIFFERENCE, ENTROPY, Pruning, prune
from tests.language_models import as_dict, assert_same
from tests.reference import ngrams


@pytest.mark.parametrize("threshold", [1e-9, 1e-4, 1e-3, 1e-2, 0.5])
@pytest.mark.parametrize("method", [ENTROPY, DIFFERENCE])
def test_what_stays_is_what_the_definition_says(
    method: str, threshold: float, models: list[BackoffModel]
) -> None:
    twin_prune = ngrams.prune_entropy if method == ENTROPY else ngrams.prune_difference
    for model in models:
        wanted = twin_prune(as_dict(model), threshold)
        prune(model, Pruning(method, threshold))
        assert_same(as_dict(model), wanted)


def test_a_number_of_n_grams_is_met(arpas: list[Path]) -> None:
    whole = sum(read_model(arpas[0]).counts)
    previous: set[ngrams.Ngram] = set()
    for wanted in (16, 40, 99, whole, whole + 5):
        model = read_model(arpas[0])
        prune(model, Pruning(ngrams=wanted))
        found = set(as_dict(model))
        assert min(whole, wanted) - 8 <= len(found) <= wanted  # equals stay or go together
        assert previous <= found
        previous = found
    with pytest.raises(UsageError, match="2 n-grams are too few: the model has 14 words"):
        prune(read_model(arpas[0]), Pruning(ngrams=2))


def test_settings_that_cannot_be_are_refused() -> None:
    for threshold, number in ((None, None), (1e-7, 5), (-1.0, None), (float("nan"), None)):
        with pytest.raises(UsageError):
            Pruning(threshold=threshold, ngrams=number)
    with pytest.raises(UsageError, match="unknown"):
        Pruning("by-size", 1e-7)
    with pytest.raises(UsageError, match="not known beforehand"):
        Pruning(DIFFERENCE, ngrams=5)


@pytest.mark.parametrize("with_unknown", [False, True])
def test_a_limited_model_adds_up_and_has_no_other_words(
    with_unknown: bool, models: list[BackoffModel]
) -> None:
    model = models[0]
    if with_unknown:
        model.words[model.ids[b"w7"]] = b"<unk>"
        del model.ids
    lost = sum(10 ** as_dict(model)[(f"w{n}",)][0] for n in (9, 10, 11))
    before = 10 ** as_dict(model).get(("<unk>",), (-99.0, 0.0))[0]
    limit(model, [f"w{n}" for n in range(9)])
    found = as_dict(model)
    words = {ngram[0] for ngram in found if len(ngram) == 1}
    assert not words & {"w9", "w10", "w11"}
    assert {word for ngram in found for word in ngram} == words
    if with_unknown:
        assert 10 ** found[("<unk>",)][0] == pytest.approx(before + lost)
    for history in [(), *(ngram for ngram in found if len(ngram) < 3 and ngram[-1] != "</s>")]:
        total = sum(10 ** ngrams.log_prob(found, (*history, w)) for w in words - {"<s>"})
        assert total == pytest.approx(1.0, abs=1e-6), history


@pytest.mark.thorough  # 11 s; the definition holds of the small models above
def test_sizes_on_the_penn_treebank(data_dir: Path, tmp_path: Path) -> None:
    from kaldingram.train import NgramCounts

    lines = (data_dir / "ptb" / "ptb.train.txt").read_text(encoding="utf-8").splitlines()
    peer = NgramCounts(3)
    for line in lines[:20_000]:
        peer.add_raw_counts_from_line(line.strip())
    peer.cal_discounting_constants()
    peer.cal_f()
    peer.cal_bow()
    with (tmp_path / "arpa").open("w") as stream:
        peer.print_as_arpa(stream)
    model = read_model(tmp_path / "arpa")
    assert model.counts == [9618, 157_814, 307_946]
    prune(model, Pruning(ENTROPY, 1e-7))
    # kaldingram keeps 148,499 bigrams: it takes P(<s>) for nothing where <s> is the whole history
    assert model.counts == pytest.approx([9618, 148_499, 176_256], rel=0.01)
    model = read_model(tmp_path / "arpa")
    prune(model, Pruning(DIFFERENCE, 1e-7))
    # what IRSTLM's prune-lm keeps of the same model, written by `write_model`: it wants it sorted
    assert model.counts == [9618, 140_954, 144_264]
