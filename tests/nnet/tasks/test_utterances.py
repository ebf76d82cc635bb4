"""Training examples: what cannot be trained on is dropped by name, or stops everything."""

from __future__ import annotations

import logging

import pytest
import torch

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
