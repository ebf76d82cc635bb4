"""Kinds of files that commands read, and how each of them is broken by each fault of content."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.faults import damage as by
from tests.faults.damage import Damage

CONTENT = (
    *("missing", "empty", "garbage", "truncated"),
    *("wrong type", "wrong dimension", "not UTF-8"),
)
PLACE = ("read-only", "full disk", "killed", "output = input")
FAULTS = (*CONTENT, *PLACE)

BINARY = "it has no text"
NO_DIMENSION = "nothing in it has a dimension"
SAYS_ALL = "its dimension is what there is to say"


@dataclass(frozen=True)
class Kind:
    """How a kind of file is broken: a way for every fault of content, or why there is none."""

    wrong_type: Damage | str
    wrong_dimension: Damage | str = NO_DIMENSION
    not_utf8: Damage | str = by.not_utf8
    others: dict[str, Damage | str] = field(default_factory=dict)

    def way(self, fault: str) -> Damage | str:
        """The damage, or a reason."""
        ways: dict[str, Damage | str] = {
            "missing": by.missing, "empty": by.empty, "garbage": by.garbage,
            "truncated": by.truncated, "wrong type": self.wrong_type,
            "wrong dimension": self.wrong_dimension, "not UTF-8": self.not_utf8,
        }  # fmt: skip
        return (ways | self.others)[fault]


def _longer(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array[-1:]])


def _wider(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array[:, -1:]], 1)


def _words(array: np.ndarray) -> np.ndarray:
    return np.full(array.shape, "word")


_IN_FILES = "its files are broken one by one"

KINDS = {
    "directory": Kind(by.file, _IN_FILES, _IN_FILES,
                      {"garbage": _IN_FILES, "truncated": _IN_FILES}),
    "features.toml": Kind(by.edited("num_ceps = 13", 'num_ceps = "13"'),
                          by.edited("num_ceps = 13", "num_ceps = 12")),
    "train.toml": Kind(by.edited("passes =", "passes = true\nsome ="),
                       by.edited("dim=13", "dim=14")),
    "config": Kind(by.edited("passes =", "passes = true\nsome ="),
                   by.edited("dim=16", "dim=14")),
    "images config": Kind(by.edited("bottleneck = 4", 'bottleneck = "4"'),
                          by.edited("bottleneck = 4", "bottleneck = 5")),
    "images.toml": Kind(by.edited("bottleneck = 4", 'bottleneck = "4"')),
    "ivector.toml": Kind(by.edited("dim = 3", 'dim = "3"'),
                         by.edited("pca_dim = 8", "pca_dim = 999")),
    "inputs.toml": Kind(by.edited("seed = 0", 'seed = "0"')),
    "choice.toml": Kind(by.edited("lmwt = 10.0", 'lmwt = "10.0"')),
    "queue.toml": Kind(by.edited("patience = 20.0", "patience = []")),
    "network.xconfig": Kind(by.edited("dim=16", "dim=much"), by.edited("dim=13", "dim=14")),
    "cuts": Kind(by.item(supervisions="none")),
    "feature cuts": Kind(by.item(features__num_frames="93"), by.item(features__num_frames=94)),
    "recordings": Kind(by.item(sources=1)),
    "wav": Kind(by.text("RIFF, but a text\n"), by.stereo, BINARY),
    "sph": Kind(by.swapped(b"-s3 pcm", b"-s3 mp3"),
                by.swapped(b"channel_count -i 1", b"channel_count -i 2"), BINARY),
    "meetings": Kind(by.swapped(b'channel="0"', b'channel="left"'),
                     by.swapped(b' channel="0"', b"")),
    "words.xml": Kind(by.swapped(b'starttime="1.0"', b'starttime="nought"'),
                      by.swapped(b'words0"', b'words9"')),
    "segments.xml": Kind(by.swapped(b"#id", b"#no"), by.swapped(b"words0", b"words9")),
    "call": Kind(by.swapped(b"-s4 ulaw", b"-s4 ulow"),
                 by.swapped(b"channel_count -i 2", b"channel_count -i 1"), BINARY),
    "ms98": Kind(by.edited(" 0.10 ", " nought "), by.edited("0.10 0.30", "0.30 0.10")),
    "pem": Kind(by.edited(" 0.10 ", " nought "), by.edited("0.10 0.30", "0.30 0.10")),
    "conv.tab": Kind(by.directory, by.text("2001,1012,1055\n")),
    "talk": Kind(by.edited(" 0.10 ", " nought "), by.edited("0.10 0.30", "0.30 0.10")),
    "txt": Kind(by.directory, NO_DIMENSION),
    "table": Kind(by.directory, by.text("only-a-key\n")),
    "lexicon": Kind(by.directory, by.text("low\n")),
    "text": Kind(by.directory),
    "arpa": Kind(by.edited("-0.6\thigh\t-0.2", "high\thigh\thigh"),
                 by.edited("ngram 1=5", "ngram 1=7")),
    "zipped arpa": Kind(by.directory, "as arpa", "as arpa"),
    "vocabulary": Kind(by.directory, NO_DIMENSION),
    "words.txt": Kind(by.edited("hiss 3", "hiss three"), by.text("<eps> 0\n")),
    "phones.txt": Kind(by.edited("SIL 1", "SIL one"), by.edited("S 4", "S 4\nT 9")),
    "lang lexicon": Kind(by.directory, by.text("low X\n")),
    "phone list": Kind(by.directory, by.text("SIL\nSIL\n")),
    "optional silence": Kind(by.directory, by.text("SIL\nSPN\n")),
    "lexicon with probabilities": Kind(by.edited("0.6 1 1.2", "0.6 one 1.2"),
                                       by.edited("0.6 1 1.2", "0.6 1")),
    "silprob": Kind(by.edited("0.7", "yes"), by.edited("overall 0.3\n", "")),
    "topo": Kind(by.directory, by.edited("4 phones", "7 phones")),
    "fst": Kind(by.text("0 1 1 1\n1\n"), "its labels are checked against words.txt", BINARY),
    "means": Kind(by.arrays(cut_sums=_words), by.arrays(cut_sums=_wider), BINARY),
    "store": Kind(by.datasets(lambda x: np.full(x.shape, b"word")),
                  by.datasets(lambda x: x[:, :-1]), BINARY),
    "ivectors": Kind(by.datasets(lambda x: np.full(x.shape, b"word")), by.datasets(_wider), BINARY),
    "lattices": Kind(by.zipped(lambda c: b"a lattice\n"),
                     by.zipped(lambda c: c.replace(b"_", b"_99")),
                     by.zipped(lambda c: b"\xff" + c)),
    "lattices.toml": Kind(by.edited("beam = 8.0", 'beam = "8"'),
                          by.edited("beam = 8.0", "beam = -8.0")),
    "leaves": Kind(by.arrays(table=_words), by.arrays(table=lambda x: x[0]), BINARY),
    "index": Kind(by.directory, SAYS_ALL, BINARY),
    "den": Kind(by.arrays(src=_words), by.arrays(src=_longer), BINARY),
    "tree": Kind(by.arrays(question=_words), by.arrays(question=_longer), BINARY),
    "ali": Kind(by.edited(r" \d+ ;", " six ;"), by.edited(r" \d+ ;", " 600 ;")),
    "phone lattices": Kind(by.edited(r" \d+ ;", " six ;"), by.edited(r" \d+ ;", " 600 ;")),
    "checkpoint": Kind(by.untyped_model, by.resized_model, BINARY),
    "ivector model": Kind(by.state(lambda s: [1, 2]), by.resized_ivector, BINARY),
    "train.jsonl": Kind(by.edited('"iter": 0', '"iter": "none"')),
    "receipt": Kind(by.edited('"num_pdfs": 8', '"num_pdfs": "eight"')),
    "hyp": Kind(by.directory, by.text("another-utterance low\n")),
    "ref": Kind(by.directory, by.text("another-utterance low\n")),
    "utt2spk": Kind(by.edited("-0 s2", "-0"), by.text("another-utterance s0\n")),
    "ctm": Kind(by.edited("s2-0 1 0.00", "s2-0 1 nought"), by.edited(" 1 0.03", "")),
    "decoded ctm": Kind(by.edited(" 1 0.", " 1 nought."), by.edited(" 1 0.", " ")),
    "stm": Kind(by.edited(" 0.00 ", " nought "), by.edited(" A ", " ")),
    "glm": Kind(by.directory, by.edited("uh =>", "uh")),
    "edits": Kind(by.edited(" cor\n", " right\n"), by.edited(" cor\n", "\n")),
    "limits.toml": Kind(by.edited("min_segment = 0.3", 'min_segment = "0.3"')),
    "non-scored": Kind(by.directory),
    "reco2file": Kind(by.directory, by.edited(" A\n", "\n")),
    "acronyms": Kind(by.directory, by.edited("\tu s", "")),
    "images": Kind(by.array(lambda x: x.astype(str)), by.array(lambda x: x[:, :-1]), BINARY),
    "labels": Kind(by.array(lambda x: x.astype(str)), by.array(lambda x: x[:-1]), BINARY),
    "classes": Kind(by.directory, by.text("red\n")),
    "confusion": Kind(by.directory, by.text("red\n")),
    "batch": Kind(by.pickled(lambda c: c.update(data=[1])),
                  by.pickled(lambda c: c.update(data=c["data"][:, :-1])), BINARY),
    "meta": Kind(by.pickled(lambda c: [c.update({k: 5}) for k in list(c)]),
                 by.pickled(lambda c: [c.update({k: v[:1]}) for k, v in list(c.items())]), BINARY),
    "idx images": Kind(by.zipped(lambda c: b"\0\0\x0d" + c[3:]),
                       by.zipped(lambda c: c[:15] + b"\x20" + c[16:]), BINARY),
    "idx labels": Kind(by.zipped(lambda c: b"\0\0\x0d" + c[3:]),
                       by.zipped(lambda c: c[:7] + b"\1" + c[8:9]), BINARY),
    "record": Kind(by.edited('"first": 1', '"first": "one"')),
    "outcome": Kind(by.edited('"failed": {}', '"failed": []')),
    "markdown": Kind(by.directory),
}  # fmt: skip
