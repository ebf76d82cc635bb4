"""Training examples: what cannot be trained on is dropped by name, or stops everything."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from chainstitch.nnet.tasks import utterances
from chainstitch.nnet.tasks.utterances import ChainExamples, spread
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.manifests import cut_text
from chainstitch.utils.errors import UserError
from tests.toy import Toy, retext


def test_batch_is_padded_and_keeps_its_order(toy: Toy) -> None:
    examples = toy.examples()
    batch = examples.batch([4, 0, 9])
    features, lengths, numerators = batch.features, batch.lengths, batch.targets
    assert lengths.tolist() == [int(examples.frames[i]) for i in (4, 0, 9)]
    assert features.shape == (3, int(lengths.max()), 13) and features.dtype == torch.float32
    for k, i in enumerate((4, 0, 9)):
        loaded = torch.from_numpy(examples.reader.load(examples.cuts[i]))
        assert torch.equal(features[k, : lengths[k]], loaded)
        text = cut_text(examples.cuts[i])
        assert numerators.graphs[k] is examples.store.get(text)[0]


def test_up_to_a_tenth_is_dropped_counted_and_named(
    own: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    ids = retext(own.train, {0: "rise fall " * 60, 5: ""})
    with caplog.at_level(logging.WARNING):
        examples = own.examples()
    assert len(examples) == 22 and not {c.id for c in examples.cuts} & set(ids)
    short, empty = "it is too short for its transcript", "its transcript is empty"
    assert examples.dropped == {short: [ids[0]], empty: [ids[1]]}
    for reason, name in zip((short, empty), ids, strict=True):
        assert f"1 of 24 utterances dropped, as {reason}: {name}" in caplog.text


def test_more_than_a_tenth_dropped_is_an_error(own: Toy) -> None:
    retext(own.train, dict.fromkeys(range(3), "rise fall " * 60))
    wanted = r"train_hires: 3 of 24 utterances cannot be used \(mostly: it is too short"
    with pytest.raises(UserError, match=wanted):
        own.examples()


def test_word_outside_the_lexicon_names_utterance_and_word(own: Toy) -> None:
    (name,) = retext(own.train, {7: "low lou"})
    with pytest.raises(UserError, match=f"utterance {name} has the word 'lou'.*lang stage"):
        own.examples()


def test_dropped_utterances_are_not_in_any_batch(own: Toy) -> None:
    (name,) = retext(own.train, {3: ""})
    examples = own.examples()
    lengths = examples.batch(range(len(examples))).lengths
    assert len(lengths) == 23 == len(examples.frames)
    assert lengths.tolist() == examples.frames.tolist()


def test_dropped_reasons_come_in_the_order_of_the_utterances(own: Toy) -> None:
    ids = retext(own.train, {1: "", 4: "rise fall " * 60})
    short, empty = "it is too short for its transcript", "its transcript is empty"
    assert list(own.examples().dropped.items()) == [(empty, ids[:1]), (short, ids[1:])]
    retext(own.train, {0: "rise fall " * 60, 4: "low"})
    assert list(own.examples().dropped) == [short, empty]


def test_the_first_utterance_with_an_unknown_word_is_named(own: Toy) -> None:
    names = retext(own.train, {9: "low lou", 2: "low", 5: "high loo lou", 6: "high loo lou"})
    with pytest.raises(UserError, match=f"utterance {names[2]} has the word 'loo'"):
        own.examples()


def test_kept_numerators_make_the_same_minibatches(toy: Toy, tmp_path: Path) -> None:
    plain, store = toy.examples(), toy.store()
    store.keep = tmp_path
    for _ in range(2):
        kept = ChainExamples(FeatureReader(toy.train), store)
        assert kept.frames.tolist() == plain.frames.tolist()
        one, other = (e.batch(range(len(plain))) for e in (kept, plain))
        assert one.targets.names == other.targets.names
        for name, theirs in vars(other.targets.layout).items():
            assert torch.equal(getattr(one.targets.layout, name), theirs)
    assert "cuts" not in vars(kept.reader)


def test_of_a_large_set_a_spread_sample_is_read_before_training(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    examples = toy.examples()
    read: list[int] = []
    monkeypatch.setattr(examples.reader, "load_raw", read.append)
    examples.check_features()
    assert read == list(range(24))
    read.clear()
    monkeypatch.setattr(utterances, "spread", lambda numbers: spread(numbers, 6))
    with caplog.at_level(logging.INFO):
        examples.check_features()
    assert sorted(read) == [0, 5, 9, 14, 18, 23]
    assert "features of 6 of 24 utterances were read and are sound" in caplog.text
    read.clear()
    monkeypatch.setattr(utterances, "CHECK_SECONDS", -1.0)
    examples.check_features()
    assert read == []
