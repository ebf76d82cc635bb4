"""Networks with an output for each input frame, or for every second: times are still in seconds."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path

import pytest

from chainstitch.utils.data.alignments import read_alignments
from chainstitch.utils.data.manifests import cut_text, read_cuts
from chainstitch.utils.lang.directory import read_lang
from chainstitch.utils.score.boundaries import ctm_words
from tests.toy import WORDS, Toy, run


def sounds(words: list[str]) -> str:
    """The phones of words, each once: some of the toy's words sound alike."""
    return re.sub("S+", "S", "".join(WORDS[word] for word in words))


@pytest.mark.parametrize("subsampling", [1, 2])
def test_times_of_words_and_phones_fit_the_recordings(
    toy: Toy, tmp_path: Path, subsampling: int
) -> None:
    exp, decoded, aligned = tmp_path / "exp", tmp_path / "decode", tmp_path / "ali"
    settings = (f"network.subsampling={subsampling}", "training.passes=15", "optim.initial_lr=2e-2")
    more = [word for setting in settings for word in ("--set", setting)]
    assert run(*toy.arguments(exp, *more)) == 0
    assert run("combine", exp, "--device", "cpu") == 0
    given = ["--data", toy.dev, "--lang", toy.lang]
    assert run("decode", exp, *given, "--out", decoded, "--lmwt", "10", "--wip", "0") == 0
    assert run("align", exp, *given, "--out", aligned) == 0
    cuts = read_cuts(toy.dev)

    frame = 0.01 * subsampling
    words = ctm_words(decoded / "ctm")
    right = 0
    for cut in cuts:
        said = words[cut.id]
        right += sounds([word for *_, word in said]) == sounds(cut_text(cut).split())
        bounds = [round(t, 2) for begin, end, _ in said for t in (begin, end)]
        assert bounds == sorted(bounds) and bounds[0] >= 0
        for t in bounds:
            assert t / frame == pytest.approx(round(t / frame), abs=1e-6)
        # the silence behind the words is at most 0.1; the last output frame may reach past the end
        assert cut.duration - 0.2 < bounds[-1] < cut.duration + frame
    assert right > len(cuts) / 2

    for name, phones in read_alignments(aligned / "ali.gz", read_lang(toy.lang).phones).items():
        *inside, whole = accumulate(duration for _, duration in phones)
        assert all(bound % subsampling == 0 for bound in inside)
        assert [whole] == [cut.features.num_frames for cut in cuts if cut.id == name]
