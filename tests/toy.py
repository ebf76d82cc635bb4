"""A toy corpus for training tests: five speakers say words made of tones and noises at 8 kHz.

`tests/conftest.py` builds it once a session (fixture `toy`). Everything goes the real way from wav
and txt: folder preparation, features, lang, denominator graph.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from chainstitch.bin import main
from chainstitch.nnet.chain import ChainLoss, DenominatorGraph, NumeratorCompiler
from chainstitch.nnet.chain.supervision import NumeratorStore
from chainstitch.nnet.tasks.utterances import ChainExamples
from chainstitch.utils.data.alignments import write_alignments
from chainstitch.utils.data.feature_index import INDEX
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import write_ivectors
from chainstitch.utils.data.manifests import CUTS, read_cuts, to_bytes
from chainstitch.utils.lang.directory import read_lang

RATE = 8000
SPEAKERS, EACH = 5, 6  # one speaker becomes the dev set
LEXICON = "low L\nhigh H\nrise L H\nfall H L\nhiss S\nhush S\nhush S S\n"
WORDS = {"low": "L", "high": "H", "rise": "LH", "fall": "HL", "hiss": "S", "hush": "SS"}
XCONFIG = """
input name=input dim=13
relu-batchnorm-layer name=tdnn1 dim=16 input=Append(-1,0,1) dropout-proportion=0.1
relu-renorm-layer name=tdnn2 dim=16 input=Append(-3,0,3)
output-layer name=output
"""
TRAINING = f"""task = "speech"
[network]
xconfig = \"\"\"{XCONFIG}\"\"\"
[graph]
ngram_order = 3
no_prune_order = 2
[optim]
initial_lr = 5e-3
final_lr = 1e-3
[training]
passes = 4
minibatch_size = 4
frames_per_iteration = 3000
"""
FEATURES = "sampling_rate = 8000\nnum_mel_bins = 20\nnum_ceps = 13\n"


@dataclass(frozen=True)
class Toy:
    """Where things are."""

    place: Path

    @property
    def conf(self) -> Path:
        return self.place / "train.toml"

    @property
    def train(self) -> Path:
        return self.place / "train_hires"

    @property
    def dev(self) -> Path:
        return self.place / "dev_hires"

    @property
    def lang(self) -> Path:
        return self.place / "lang"

    @property
    def den(self) -> Path:
        return self.place / "den.npz"

    def arguments(self, out: Path, *more: object, **replaced: object) -> list[str]:
        """The `train` command that writes `out`; `replaced` names other inputs."""
        inputs = {"data": self.train, "valid": self.dev, "lang": self.lang, "den": self.den}
        conf = replaced.pop("conf", self.conf)
        options = [str(v) for k, w in (inputs | replaced).items() for v in (f"--{k}", w)]
        fixed = ["--out", str(out), "--device", "cpu", "--num-threads", "1"]
        return ["train", str(conf), *options, *fixed, *map(str, more)]

    def loss(self) -> ChainLoss:
        """The loss with the toy's denominator."""
        return ChainLoss(DenominatorGraph.load(self.den))

    def store(self) -> NumeratorStore:
        """Numerators for the toy's denominator."""
        return NumeratorStore(read_lang(self.lang), NumeratorCompiler(self.loss().denominator))

    def examples(self, directory: Path | None = None) -> ChainExamples:
        """The examples of a feature directory, the training set's by default."""
        return ChainExamples(FeatureReader(directory or self.train), self.store())


def write_corpus(wav: Path) -> None:
    """Makes recordings and transcripts, a folder for each speaker."""
    generator = np.random.default_rng(1)
    for speaker in range(SPEAKERS):
        folder = wav / f"s{speaker}"
        folder.mkdir(parents=True)
        for number in range(EACH):
            words = list(generator.choice(list(WORDS), generator.integers(2, 5)))
            samples = _say(words, 1.0 + 0.05 * speaker, generator)
            soundfile.write(folder / f"{number}.wav", samples, RATE, subtype="PCM_16")
            (folder / f"{number}.txt").write_text(" ".join(words))


def build(place: Path) -> Toy:
    """Makes corpus, features, lang and graph in `place`."""
    write_corpus(place / "wav")
    for name, text in {"lexicon": LEXICON, "train.toml": TRAINING, "mfcc.toml": FEATURES}.items():
        (place / name).write_text(text)
    toy = Toy(place)
    for arguments in (
        ["prepare", "folder", place / "wav", place, "--split", "dev=0.2"],
        ["features", place / "mfcc.toml", "--data", place / "train", "--out", toy.train],
        ["features", place / "mfcc.toml", "--data", place / "dev", "--out", toy.dev],
        ["lang", place / "lexicon", "--grammar", "uniform", "--out", toy.lang],
        ["den-graph", toy.conf, "--data", place / "train", "--lang", toy.lang, "--out", toy.den],
    ):
        assert run(*arguments) == 0
    return toy


def _say(words: Iterable[str], pitch: float, generator: np.random.Generator) -> np.ndarray:
    pieces = [np.zeros(generator.integers(400, 800))]
    for phone in "".join(WORDS[word] for word in words):
        t = np.arange(generator.integers(1000, 1400)) / RATE
        tone = np.sin(2 * np.pi * pitch * {"L": 500, "H": 1500, "S": 0}[phone] * t)
        pieces.append(0.3 * (generator.standard_normal(len(t)) if phone == "S" else tone))
    pieces.append(np.zeros(generator.integers(400, 800)))
    samples = np.concatenate(pieces)
    return (samples + 0.003 * generator.standard_normal(len(samples))).clip(-1, 1)


def run(*arguments: object) -> int:
    """The exit code of a `chainstitch` command, run in this process."""
    with pytest.raises(SystemExit) as stop:
        main.app([str(a) for a in arguments])
    return int(stop.value.code or 0)


def trained(toy: Toy, out: Path, *more: object) -> Path:
    """A trained and combined model in `out`."""
    assert run(*toy.arguments(out, *more)) == 0
    assert run("combine", out, "--device", "cpu") == 0
    return out


def spawn(arguments: list[str]) -> subprocess.Popen[str]:
    """A `chainstitch` command as a process of its own, output kept."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "chainstitch.bin.main", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def align_evenly(toy: Toy, directory: Path, out: Path) -> dict[str, list[tuple[int, int]]]:
    """Writes (and returns) alignments that may be nearly right: phones of one length, silences."""
    phones = read_lang(toy.lang).phones
    found = {}
    for cut in read_cuts(directory):
        said = [phones[p] for word in cut.supervisions[0].text.split() for p in WORDS[word]]
        frames = cut.features.num_frames
        each = (frames - 12) // len(said)
        rest = frames - 6 - each * len(said)
        found[cut.id] = [(phones["SIL"], 6), *((p, each) for p in said), (phones["SIL"], rest)]
    out.mkdir(exist_ok=True)
    write_alignments(out / "ali.gz", found, {number: name for name, number in phones.items()})
    return found


def make_ivectors(directory: Path, dim: int, extractor: str) -> None:
    """Writes i-vectors that are a function of the utterance's name; `extractor` made none."""
    matrices = (
        (cut.id, np.random.default_rng(list(cut.id.encode())).normal(size=(1, dim)))
        for cut in read_cuts(directory)
    )
    write_ivectors(directory / "ivectors.h5", matrices, 0, dim, extractor.encode(), overwrite=True)


def retext(directory: Path, texts: dict[int, str]) -> list[str]:
    """Gives utterances of a set, by number, other transcripts; returns their ids."""
    cuts = read_cuts(directory)
    for number, text in texts.items():
        cuts[number].supervisions[0].text = text
    (directory / CUTS).write_bytes(to_bytes(cuts))
    return [cuts[number].id for number in texts]


def fingerprint(directory: Path) -> dict[str, str]:
    """Hash of every file below `directory`, and every directory's name.

    But of no index.bin, which whoever reads the features first may make.
    """
    return {
        str(path.relative_to(directory)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        )
        for path in sorted(directory.rglob("*"))
        if path.name != INDEX
    }


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two state dicts have the same names and, bit for bit, the same values."""
    return list(one) == list(other) and all(
        a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
        for a, b in zip(one.values(), other.values(), strict=True)
    )


def rows(exp: Path) -> list[dict[str, object]]:
    """train.jsonl without the time it took."""
    found = [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]
