"""`chainstitch align` and `score-ali` on the toy: every file says the same, and who is left out."""

from __future__ import annotations

import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph, Leaves
from chainstitch.nnet.infer import force_align
from chainstitch.utils.data.alignments import read_alignments
from chainstitch.utils.data.lattice_file import each_lattice
from chainstitch.utils.data.manifests import cut_text, read_cuts
from chainstitch.utils.lang.directory import read_lang
from chainstitch.utils.score.boundaries import ctm_words
from tests.reference.numerator import lattice_paths
from tests.toy import WORDS, Toy, fingerprint, retext, run, trained


@pytest.fixture(scope="module")
def exp(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and combined model."""
    return trained(toy, tmp_path_factory.mktemp("align") / "exp")


@pytest.fixture(scope="module")
def ali(toy: Toy, exp: Path) -> Path:
    """The alignment of the dev set."""
    out = exp.parent / "ali_dev"
    command = ["align", exp, "--data", toy.dev, "--lang", toy.lang, "--out", out, "--textgrid"]
    assert run(*command) == 0
    return out


def intervals(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """The tiers of a TextGrid in the long format, read by its keys alone."""
    text = path.read_bytes().decode("utf-8")
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\n')
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for part in re.split(r"item \[\d+\]:\n", text)[1:]:
        name = re.search(r'name = "(.*)"', part)
        rows = re.findall(r'xmin = (\S+)\n +xmax = (\S+)\n +text = "((?:[^"]|"")*)"', part)
        assert name is not None and f"intervals: size = {len(rows)}\n" in part
        tiers[name[1]] = [(float(a), float(b), t.replace('""', '"')) for a, b, t in rows]
    assert f"size = {len(tiers)}\n" in text
    return tiers


def near(rows: list[tuple[float, float, str]], wanted: list[tuple[float, float, str]]) -> bool:
    """Whether texts are the same and times nearly so."""
    return [row[2] for row in rows] == [row[2] for row in wanted] and all(
        one[:2] == pytest.approx(other[:2]) for one, other in zip(rows, wanted, strict=True)
    )


def test_files_agree_and_add_up(toy: Toy, ali: Path) -> None:
    lang = read_lang(toy.lang)
    assert (ali / "phones.txt").read_bytes() == (toy.lang / "phones.txt").read_bytes()
    alignments = read_alignments(ali / "ali.gz", lang.phones)
    words, phones = ctm_words(ali / "ctm"), ctm_words(ali / "phones.ctm")
    cuts = {cut.id: cut for cut in read_cuts(toy.dev)}
    assert list(alignments) == sorted(cuts) and not (ali / "dropped").exists()
    for name, cut in cuts.items():
        frames = cut.features.num_frames
        assert sum(duration for _, duration in alignments[name]) == frames
        at, expected = 0, []
        for phone, duration in alignments[name]:
            expected.append((at / 100, (at + duration) / 100, lang.phone_names[phone - 1]))
            at += duration
        assert near(phones[name], expected)
        assert [word for _, _, word in words[name]] == cut_text(cut).split()
        for begin, end, word in words[name]:  # a word is its phones, whole ones
            inside = [p for a, b, p in expected if begin - 1e-6 < a and b < end + 1e-6]
            assert "".join(inside) in {"SS" if word == "hush" else WORDS[word], WORDS[word], "S"}
        tiers = intervals(ali / "textgrid" / f"{name}.TextGrid")
        assert list(tiers) == ["words", "phones"]
        assert near([row for row in tiers["words"] if row[2]], words[name])
        assert near(tiers["phones"], phones[name])
        for rows in tiers.values():
            assert rows[0][0] == 0 and rows[-1][1] == pytest.approx(frames / 100)
            assert all(one[1] == other[0] for one, other in zip(rows, rows[1:], strict=False))
    scores = dict(line.split() for line in (ali / "scores").read_text().splitlines())
    assert scores.keys() == cuts.keys() and all(float(score) < 20 for score in scores.values())


def test_what_does_not_fit_is_named_and_the_rest_aligned(
    own: Toy, exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    unknown, short = retext(own.dev, {0: "low nosuch", 1: "rise " * 200})
    out = tmp_path / "ali"
    command = ["align", exp, "--data", own.dev, "--lang", own.lang, "--out", out]
    assert run(*command) == 1
    error = capsys.readouterr().err
    assert f"2 of 6 utterances cannot be aligned (the first: {unknown}, word without" in error
    assert "more than the 10% allowed" in error and not out.exists()
    with caplog.at_level("WARNING"):
        assert run(*command, "--max-dropped", 0.5) == 0
    assert f"{unknown} cannot be aligned: word without pronunciation (nosuch)" in caplog.text
    assert f"{short} cannot be aligned: too short (" in caplog.text
    said = capsys.readouterr().out
    assert "4 of 6 utterances aligned, dropped 1 word without pronunciation, 1 too short" in said
    assert "mean log-likelihood" in said
    lines = (out / "dropped").read_text().splitlines()
    assert [line.split()[0] for line in lines] == sorted([unknown, short])
    assert not {unknown, short} & ctm_words(out / "ctm").keys()
    assert not (out / "textgrid").exists()


def test_a_second_run_refuses_unless_told(toy: Toy, exp: Path, ali: Path) -> None:
    command = ["align", exp, "--data", toy.dev, "--lang", toy.lang, "--out", ali, "--textgrid"]
    before = fingerprint(ali)
    assert run(*command) == 2
    assert fingerprint(ali) == before
    assert run(*command, "--overwrite") == 0
    assert fingerprint(ali) == before


def test_options_change_what_they_say(toy: Toy, exp: Path, ali: Path, tmp_path: Path) -> None:
    command = ["align", exp, "--data", toy.dev, "--out", tmp_path / "a", "--overwrite"]
    plain = ctm_words(ali / "phones.ctm")
    assert run(*command, "--shift", -1) == 0  # the lang directory is the one of training
    for name, phones in ctm_words(tmp_path / "a" / "phones.ctm").items():
        for one, other in zip(phones[1:], plain[name][1:], strict=True):
            assert one[0] == pytest.approx(other[0] - 0.01)
    assert run(*command, "--boost-silence", 50) == 0
    boosted = ctm_words(tmp_path / "a" / "phones.ctm")
    for name in plain:  # every other phone has one frame, but for the last one's rest
        frames = round(100 * plain[name][-1][1])
        spoken = sum(p[2] != "SIL" for p in boosted[name])
        silent = sum(round(100 * (b - a)) for a, b, phone in boosted[name] if phone == "SIL")
        assert frames - silent <= 3 * spoken
    assert run(*command, "--weights", "--max-dropped", 0.9) == 0


def test_lattices_hold_the_alignment_and_what_is_near_it(
    toy: Toy, exp: Path, ali: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["align", exp, "--data", toy.dev, "--lattices", "--shift", -1, "--overwrite", "--out"]
    phones = read_lang(toy.lang).phones
    names, found = {number: name for name, number in phones.items()}, {}
    for beam in (0.001, 10, 30):
        out = tmp_path / f"a{beam}"
        assert run(*command, out, "--lattice-beam", beam) == 0
        assert " arcs a phone" in capsys.readouterr().out
        lattices = dict(each_lattice(out / "lattices.gz", phones))
        found[beam] = {name: lattice_paths(lattices[name].arcs) for name in lattices}
    assert run(*command, tmp_path / "plain", "--no-textgrid") == 0
    before = fingerprint(tmp_path / "plain")
    assert before["lattices.gz"] == fingerprint(tmp_path / "a10")["lattices.gz"]
    one = read_alignments(tmp_path / "plain" / "ali.gz", phones)
    cuts = {cut.id: cut_text(cut).split() for cut in read_cuts(toy.dev)}
    assert list(found[10]) == list(cuts)
    for name, text in cuts.items():
        assert found[0.001][name] == [one[name]]  # nothing is as good
        assert one[name] in found[10][name]
        assert all(path in found[30][name] for path in found[10][name])
        ways = (("S", "SS") if word == "hush" else (WORDS[word],) for word in text)
        sounds = {"".join(way) for way in itertools.product(*ways)}
        for path in found[30][name]:
            assert "".join(names[phone] for phone, _ in path if names[phone] != "SIL") in sounds
    assert sum(map(len, found[30].values())) > len(cuts)
    capsys.readouterr()
    assert run(*command, tmp_path / "plain", "--weights", "--max-dropped", 0.9) == 2
    assert "leave --weights out" in capsys.readouterr().err
    assert fingerprint(tmp_path / "plain") == before


def test_own_files(toy: Toy, exp: Path, ali: Path, tmp_path: Path) -> None:
    wavs = sorted((toy.place / "wav" / "s4").glob("*.wav"))[:2]
    for n, wav in enumerate(wavs):
        shutil.copy(wav, tmp_path / f"mine{n}.wav")
        (tmp_path / f"mine{n}.txt").write_text(wav.with_suffix(".txt").read_text() + "\n")
    mine = [tmp_path / "mine0.wav", tmp_path / "mine1.wav"]
    assert run("align", exp, *mine, "--one-speaker", "--out", tmp_path / "a") == 0
    assert list(ctm_words(tmp_path / "a" / "ctm")) == ["mine0", "mine1"]
    assert len(list((tmp_path / "a" / "textgrid").iterdir())) == 2
    assert run("align", exp, mine[0], mine[0], "--out", tmp_path / "b") == 1
    (tmp_path / "mine1.txt").unlink()
    assert run("align", exp, mine[1], "--out", tmp_path / "b") == 1
    assert run("align", exp, "--out", tmp_path / "b") == 2
    assert run("align", exp, mine[0], "--data", toy.dev, "--out", tmp_path / "b") == 2


def test_score_ali(ali: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = [line.split() for line in (ali / "ctm").read_text().splitlines()]
    late = [f"{u} A {float(b) + 0.04:.2f} {d} {w} 0.9" for u, _, b, d, w in truth]
    (tmp_path / "ctm").write_text(";; a comment\n" + "\n".join(late) + "\n")
    assert run("score-ali", ali, tmp_path / "ctm") == 2  # ali is no data directory
    capsys.readouterr()
    assert run("score-ali", ali / "ctm", tmp_path / "ctm") == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[3] == ["all", str(2 * len(truth)), *["40.0"] * 4, "0.0", "0.0", "100.0", "100.0"]
    assert [abs(float(number)) for number in table[4][3:7]] == [0.0] * 4


def test_broken_outputs_and_other_graphs_are_named(
    toy: Toy, exp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command = ["align", exp, "--data", toy.dev, "--lang", toy.lang, "--out", tmp_path / "a"]

    def broken(_: object, features: list[np.ndarray], __: object) -> list[np.ndarray]:
        return [np.full((-(-len(f) // 3), 8), np.nan, np.float32) for f in features]

    with monkeypatch.context() as patch:
        patch.setattr(force_align, "log_likes", broken)
        assert run(*command) == 1
    first = sorted(cut.id for cut in read_cuts(toy.dev))[0]
    assert f"{first}: " in (error := capsys.readouterr().err)
    assert "of the outputs are not finite" in error and not (tmp_path / "a").exists()
    other = Path(shutil.copytree(exp, tmp_path / "exp"))
    ring = DenominatorGraph.from_arcs(*torch.tensor([[0], [0], [5]]), torch.ones(1))
    ring.leaves = Leaves(np.zeros((1, 4, 1, 2), int), 6)  # type: ignore[attr-defined]
    monkeypatch.setattr(DenominatorGraph, "load", lambda _: ring)
    assert run("align", other, *command[2:]) == 1
    assert "den.npz has 6 pdfs, the network 8" in capsys.readouterr().err
