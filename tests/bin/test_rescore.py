"""`chainstitch rescore`, and what `decode` writes for it, at the command line."""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

import pytest

from chainstitch.utils.lang import ngram
from chainstitch.utils.lang.directory import write_lang
from chainstitch.utils.outputs import MARK
from tests.toy import Toy, run, trained

ARPA = (
    "\\data\\\nngram 1=8\nngram 2=2\n\n\\1-grams:\n-9 <s> -0.3\n-1 </s>\n-0.8 low -0.2\n"
    "-0.9 high -0.2\n-1.1 rise -0.1\n-0.7 fall -0.2\n-1.2 hiss\n-0.6 hush -0.4\n\n"
    "\\2-grams:\n-0.1 <s> low\n-0.2 low high\n\n\\end\\\n"
)


@pytest.fixture(scope="module")
def place(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, what it decoded, and a language model."""
    place = tmp_path_factory.mktemp("rescore")
    trained(toy, place / "exp")
    (place / "arpa.gz").write_bytes(gzip.compress(ARPA.encode()))
    assert _decode(toy, place, "decode_dev", "--write-lattices", "--n-best", 5) == 0
    return place


def _decode(toy: Toy, place: Path, name: str, *more: object) -> int:
    return run(
        "decode", place / "exp", "--data", toy.dev, "--lang", toy.lang, "--nj", 1,
        "--out", place / "exp" / name, "--lmwt", "10,14", "--wip", "0,0.5", *more,
    )  # fmt: skip


def _rescore(toy: Toy, place: Path, name: str, *more: object) -> int:
    return run(
        "rescore", place / "exp/decode_dev", "--lang", toy.lang, "--out", place / "exp" / name,
        "--lmwt", "10,14", "--wip", "0,0.5", *more,
    )  # fmt: skip


def _content(directory: Path) -> dict[str, str]:
    """The texts; of two words that sound alike it is chance which one a uniform grammar takes."""
    files = [p for p in directory.iterdir() if p.is_file() and p.name != MARK]
    return {p.name: p.read_text().replace("hush", "hiss") for p in files}


def test_lattices_read_back_give_decode_s_hypotheses_and_lists(toy: Toy, place: Path) -> None:
    assert _rescore(toy, place, "same", "--n-best", 5) == 0
    found, wanted = _content(place / "exp/same"), _content(place / "exp/decode_dev")
    assert found.keys() == wanted.keys()
    for name in ("ref", "utt2spk", "hyp_10_0.0", "hyp_10_0.5", "ctm"):
        assert found[name] == wanted[name], name
    lists = [x["nbest"].splitlines() for x in (found, wanted)]
    assert len(lists[0]) == len(lists[1]) > 6
    best = {line.split()[0]: line.split()[5:] for line in reversed(lists[1])}
    assert best == {line.split()[0]: line.split()[1:] for line in wanted["hyp_10_0.0"].splitlines()}
    for line in lists[1]:
        name, number, graph, acoustic, lm, *words = line.split()
        assert int(number) >= 1 and float(graph) > float(lm) > 0 and words


def test_a_big_model_s_sweep_is_scored_and_chosen(toy: Toy, place: Path) -> None:
    assert _rescore(toy, place, "big", "--arpa", place / "arpa.gz", "--mbr") == 0
    assert run("score", place / "exp/big") == 0
    assert (place / "exp/big/choice.toml").is_file()
    lines = (place / "exp/big/ctm").read_text().splitlines()
    assert lines and all(0.0 <= float(line.split()[5]) <= 1.0 for line in lines)
    choice = place / "exp/big/choice.toml"
    assert _rescore(toy, place, "test", "--arpa", place / "arpa.gz", "--choice", choice) == 0
    assert len(list((place / "exp/test").glob("hyp_*"))) == 1


def test_rescoring_is_decoding_with_the_big_model(toy: Toy, place: Path, tmp_path: Path) -> None:
    (tmp_path / "arpa").write_text(ARPA)
    lexicon = {line.split()[0]: [] for line in (toy.lang / "lexicon.txt").read_text().splitlines()}
    for line in (toy.lang / "lexicon.txt").read_text().splitlines():
        lexicon[line.split()[0]].append(tuple(line.split()[1:]))
    write_lang(tmp_path / "lang", lexicon, ngram.from_arpa(tmp_path / "arpa"))
    wide = ["--beam", 30, "--lattice-beam", 8]
    assert _decode(toy, place, "decode_wide", "--write-lattices", *wide) == 0
    assert run("rescore", place / "exp/decode_wide", "--lang", toy.lang, "--lmwt", 10, "--wip", 0,
               "--arpa", tmp_path / "arpa", "--out", place / "exp/one") == 0  # fmt: skip
    assert run("decode", place / "exp", "--data", toy.dev, "--lang", tmp_path / "lang", "--nj", 1,
               "--out", place / "exp/other", "--lmwt", 10, "--wip", 0, *wide) == 0  # fmt: skip
    one, other = _content(place / "exp/one"), _content(place / "exp/other")
    assert one["hyp_10_0.0"] == other["hyp_10_0.0"] != _content(place / "exp/decode_wide")["ref"]


def test_shares_keep_their_lattices_and_merge_to_the_whole(
    toy: Toy, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["chainstitch.bin.decode"], "BATCH", 2)
    for number in (1, 2):
        assert _decode(toy, place, "parts", "--write-lattices", "--part", f"{number}/2") == 0
    assert _decode(toy, place, "parts", "--write-lattices", "--merge", 2) == 0
    there = place / "exp/parts/lattices"
    assert {p.name for p in there.iterdir()} == {
        "lat.1.gz", "lat.2.gz", "lattices.toml", "leaves.npz"
    }  # fmt: skip
    assert run("rescore", place / "exp/parts", "--lang", toy.lang, "--out", place / "exp/again",
               "--lmwt", "10", "--wip", "0") == 0  # fmt: skip
    again, whole = _content(place / "exp/again"), _content(place / "exp/decode_dev")
    assert again["hyp_10_0.0"] == whole["hyp_10_0.0"] and again["ctm"] == whole["ctm"]


def test_another_lang_or_no_lattices_are_refused(
    toy: Toy, place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(toy.lang, tmp_path / "lang")
    with open(tmp_path / "lang/words.txt", "a") as words:
        words.write("more 99\n")
    command = ["rescore", place / "exp/decode_dev", "--lang", tmp_path / "lang"]
    assert run(*command, "--out", place / "exp/new") == 2
    assert "was decoded with another lang directory" in capsys.readouterr().err
    assert _decode(toy, place, "plain") == 0
    assert run("rescore", place / "exp/plain", "--lang", toy.lang, "--out", place / "exp/new") == 2
    assert "--write-lattices" in capsys.readouterr().err
    assert _decode(toy, place, "new", "--decoder", "k2", "--mbr") == 2
    assert "--decoder kaldi" in capsys.readouterr().err
    assert not (place / "exp/new").exists()
