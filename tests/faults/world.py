"""The good world: one of everything that a command reads, small, and all of it whole.

It is made once a session, in the place where each row then finds its own copy: manifests have
absolute paths in them. A copy is of hard links, so that whoever breaks a file puts another one in
its place, and never writes into it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import os
import pickle
import shutil
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import kaldifst
import numpy as np
import soundfile

from chainstitch.nnet.chain import DenominatorGraph
from chainstitch.utils.corpora import cifar, digits, mnist
from chainstitch.utils.corpora.swbd_dict_patch import DELETED
from chainstitch.utils.data.images import write_images
from chainstitch.utils.data.manifests import read_cuts, write_set
from tests import images
from tests.fakes.sctk import fake_sctk
from tests.meetings import Person, write_annotations, write_audio
from tests.toy import RATE, TRAINING, XCONFIG, Toy, align_evenly, build, run

IVECTOR = "num_gauss = 4\ndim = 3\npca_dim = 8\nubm_iterations = 2\niterations = 1\n"
ARPA = (
    "\\data\\\nngram 1=5\nngram 2=2\n\n\\1-grams:\n-1.0\t<s>\t-0.3\n-0.7\t</s>\n"
    "-0.6\tlow\t-0.2\n-0.6\thigh\t-0.2\n-0.6\trise\n\n"
    "\\2-grams:\n-0.3\t<s> low\n-0.2\tlow high\n\n\\end\\\n"
)
GLM = ";; toy\n* name 'toy'\nuh => um / [ ] __ [ ]\n[we're] => [{we are / we were}]\n"
DICTIONARY = {
    "silence_phones.txt": "SIL\nSPN\n", "optional_silence.txt": "SIL\n",
    "nonsilence_phones.txt": "L\nH\nS\n",
    "lexiconp_silprob.txt": "<unk> 1 0.4 1 1 SPN\nhigh 1 0.2 1.1 0.9 H\nlow 1 0.6 1 1.2 L\n"
    "rise 0.5 0.3 1 1 L H\nrise 1 0.3 1 1 L S\n",
    "silprob.txt": "<s> 0.7\n</s>_s 1.1\n</s>_n 0.9\noverall 0.3\n",
}  # fmt: skip
QUEUE = 'patience = 20.0\n[slurm]\nmem = ["--mem={}"]\n'


@dataclass(frozen=True)
class World:
    """Where the good world is kept, and where copies of parts of it are made, one after another."""

    good: Path
    place: Path

    def fresh(self, names: Iterable[str]) -> None:
        """Makes a copy of these parts of the world, instead of the one before."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        wanted = {name for name in names if (self.good / name).exists()}
        for name in sorted(wanted):
            if not any(name.startswith(f"{other}/") for other in wanted):
                link(self.good / name, self.place / name)

    def file(self, name: str) -> Path:
        """A file of the copy, the first of those that a name with a `*` in it means."""
        return sorted(self.place.glob(name))[0] if "*" in name else self.place / name


def make(top: Path) -> World:
    """Makes the world."""
    world = World(top / "good", top / "w")
    world.place.mkdir()
    _everything(world.place)
    world.place.rename(world.good)
    return world


def _everything(place: Path) -> None:
    with contextlib.chdir(place):  # what a run was made from is where it was, seen from here
        build(place)
        _speech(Path(), Toy(Path()))
        _images(Path())
    _corpora(place)
    (place / "arpa").write_text(ARPA)
    (place / "arpa.gz").write_bytes(gzip.compress(ARPA.encode(), mtime=0))
    DenominatorGraph.load(place / "den.npz").write_fst_text(place / "den.txt")
    kaldifst.compile((place / "den.txt").read_text(), acceptor=True).write(str(place / "den.fst"))
    (place / "text.txt").write_text("low high\nrise low\nhiss\n")
    (place / "dict").mkdir()
    for name, text in DICTIONARY.items():
        (place / "dict" / name).write_text(text)
    (place / "queue.toml").write_text(QUEUE)
    (place / "extra").write_text("yes H S\n")
    (place / "a.xconfig").write_text(XCONFIG)
    (place / "place").mkdir()
    (place / "place/RESULTS.md").write_text("# Results\n\nSomebody's own.\n")
    assert run("run", place / "jobs/log/a.log", "true") == 0
    (record,) = (place / "jobs/q").iterdir()
    record.rename(record.with_name("a"))


def _speech(place: Path, toy: Toy) -> None:
    """Models, alignments, tree, i-vectors, and what was decoded."""
    quick = ["--set", "training.passes=1", "--set", "training.minibatch_size=8"]
    quick += ["--set", "training.frames_per_iteration=4000", "--set", "optim.final_lr=5e-3"]
    exp = place / "exp/a_s0"
    assert run(*toy.arguments(exp, *quick)) == 0
    assert run("combine", exp) == 0
    jobs = ["--set", "training.jobs_initial=2", "--set", "training.jobs_final=2"]
    jobs += ["--set", "training.frames_per_iteration=1000"]
    begun = place / "exp/begun_s0"  # and killed after the first of two iterations
    assert run(*toy.arguments(begun, "--set", "training.passes=2")) == 0
    (begun / "2.pt").unlink()
    begun = place / "exp/jobs_s0"  # whose first jobs failed
    assert run(*toy.arguments(begun, *quick, *jobs, "--jobs-cmd", "false")) == 1
    align_evenly(toy, toy.train, place / "ali")
    (place / "ivector.toml").write_text(IVECTOR)
    plain, both = "name=input dim=13", "name=ivector dim=3\ninput name=input dim=13"
    around = ("Append(-1,0,1)", "Append(-1,0,1,ReplaceIndex(ivector,t,0))")
    (place / "v.toml").write_text(TRAINING.replace(plain, both).replace(*around))
    for arguments in (
        ["decode", exp, "--data", toy.dev, "--lang", toy.lang, "--out", exp / "decode_dev",
         "--lmwt", "9:10", "--wip", "0", "--nj", "1"],
        ["score", exp / "decode_dev"],
        ["decode", exp, "--data", toy.dev, "--lang", toy.lang, "--out", exp / "decode_lattices",
         "--lmwt", "10", "--wip", "0", "--nj", "1", "--write-lattices"],
        ["align", exp, "--data", toy.dev, "--lang", toy.lang, "--out", place / "ali_dev",
         "--max-dropped", "1", "--lattices"],
        ["cleanup", "decode", exp, "--data", toy.dev, "--lang", toy.lang, "--out",
         place / "edits", "--nj", "1"],
        ["tree", "--data", toy.train, "--ali", place / "ali", "--lang", toy.lang, "--out",
         place / "tree", "--leaves", "6"],
        ["ivectors", "train", place / "ivector.toml", "--data", toy.train, "--out",
         place / "ivector"],
        ["ivectors", "extract", place / "ivector", "--data", toy.train],
        ["ivectors", "extract", place / "ivector", "--data", toy.dev],
    ):  # fmt: skip
        assert run(*arguments) == 0, arguments
    (place / "ctm").write_bytes((place / "ali_dev/ctm").read_bytes())
    cuts = read_cuts(toy.dev)
    for cut in cuts:
        (whole,), cut.features = cut.supervisions, None
        words = whole.text.split()
        each = cut.duration / len(words)
        cut.supervisions = [
            dataclasses.replace(whole, id=f"{cut.id}-{n}", start=n * each, duration=each, text=word)
            for n, word in enumerate(words)
        ]
    write_set(place / "segments", cuts)
    _nist(place)


def _nist(place: Path) -> None:
    """What `score --nist` reads, and NIST's program."""
    cuts = read_cuts(place / "dev")
    names = [(cut.recording.id, cut.supervisions[0]) for cut in cuts]
    stm = [f"{name} A {one.speaker} 0.00 {one.duration:.2f} {one.text}" for name, one in names]
    (place / "stm").write_text("".join(f"{line}\n" for line in stm))
    (place / "glm").write_text(GLM)
    (place / "reco2file").write_text("".join(f"{name} {name} A\n" for name, _ in names))
    (place / "acronyms").write_text("US\tu._s.\tu s\n")
    (place / "limits.toml").write_text("min_segment = 0.3\nmin_new_segment = 0.4\n")
    (place / "non_scored").write_text("hiss\n")
    fake_sctk(place / "bin")


def _corpora(place: Path) -> None:
    """What `prepare` reads; of the speech corpora every recording is the same."""
    kaldi = place / "kaldi"
    kaldi.mkdir()
    wavs = sorted((place / "wav").glob("s[01]/*.wav"))
    names = {f"{w.parent.name}-{w.stem}": w for w in wavs}
    tables = {
        "wav.scp": {key: f"{path}" for key, path in names.items()},
        "text": {key: path.with_suffix(".txt").read_text() for key, path in names.items()},
        "utt2spk": {key: path.parent.name for key, path in names.items()},
        "segments": {key: f"{key} 0.0 0.4" for key in names},
        "spk2gender": {path.parent.name: "f" for path in wavs},
        "reco2file_and_channel": {key: f"{key} A" for key in names},
    }
    for name, table in tables.items():
        (kaldi / name).write_text("".join(f"{k} {v}\n" for k, v in sorted(table.items())))
    one = place / "one.wav"
    soundfile.write(one, 0.1 * np.sin(np.arange(RATE // 4)), RATE, subtype="PCM_16")
    yesno = place / "yesno"
    yesno.mkdir()
    for number in range(60):
        os.link(one, yesno / f"{'_'.join(f'{number:08b}')}.wav")
    recordings = place / "digits/recordings"
    recordings.mkdir(parents=True)
    for speaker in digits.SPEAKERS:
        for number in range(10 * digits.PER_DIGIT):
            os.link(one, recordings / f"{number % 10}_{speaker}_{number // 10}.wav")
    _tedlium(place / "tedlium")
    _ami(place)
    _swbd(place)
    generator = np.random.default_rng(0)
    for dataset, label in (("cifar10", "labels"), ("cifar100", "fine_labels")):
        form = cifar.FORMS[dataset][0]
        (place / dataset).mkdir()
        for file in [*form.train, *form.test]:
            content = {"data": generator.integers(0, 256, (4, 3072), np.uint8), label: [0, 1, 2, 3]}
            (place / dataset / file).write_bytes(pickle.dumps(content, 2))
        classes = [f"class{n}" for n in range(10)]
        (place / dataset / form.names).write_bytes(pickle.dumps({form.key: classes}, 2))
    (place / "mnist").mkdir()
    for labelled, labels in mnist.FILES.values():
        header = struct.pack(">4I", 2051, 4, mnist.SIDE, mnist.SIDE)
        pixels = generator.integers(0, 256, 4 * mnist.SIDE**2, np.uint8).tobytes()
        (place / "mnist" / labelled).write_bytes(gzip.compress(header + pixels, mtime=0))
        header = struct.pack(">2I", 2049, 4)
        (place / "mnist" / labels).write_bytes(gzip.compress(header + bytes(range(4)), mtime=0))


def _tedlium(place: Path) -> None:
    """A talk in each set, all of the same sound."""
    line = "T_2001 1 T_2001 {} {} <o,f0,male> {}\n"
    for name in ("train", "dev", "test"):
        for kind in ("sph", "stm"):
            (place / name / kind).mkdir(parents=True)
        sound = 0.1 * np.sin(np.arange(RATE))
        soundfile.write(place / name / "sph/T_2001.sph", sound, RATE, "PCM_16", format="NIST")
        rows = (("0.10", "0.30", "it 's low"), ("0.30", "0.40", "low high"), ("0.4", "0.45", "low"))
        lines = "".join(line.format(*row) for row in rows)
        (place / name / "stm/T_2001.stm").write_text(lines)
    (place / "TEDLIUM.152k.dic").write_text("low L OW\nhigh H IY\nit's IH S\n")
    (place / "LM").mkdir()
    (place / "LM/a.en.gz").write_bytes(gzip.compress(b"it 's low </s>\nhigh </s>\n", mtime=0))


def _ami(place: Path) -> None:
    """A meeting in each set, a dictionary, and a call of Fisher."""
    names = ("ES2002a", "ES2011a", "ES2004a")
    people = [Person("A", "FEE005", 0, [("Low , high .", 1.0, 2.0), ("low", 2.0, 3.0)])]
    write_annotations(place / "ami/annotations", dict.fromkeys(names, people))
    audio = [f"{name}.{mic}" for name in names for mic in ("Headset-0", "Array1-01")]
    write_audio(place / "ami", audio, 4.0)
    (place / "cmudict").write_text(";;; toy\nHIGH  HH IY1\nLOW  L OW1\nRISE  R AY1 Z\n")
    (place / "wordlist").write_text("HIGH\nLOW\n")
    trans = place / "fisher/data/trans/000"
    trans.mkdir(parents=True)
    (trans / "fe_03_00001.txt").write_text(
        "# toy\n\n0.1 1.0 A: low high\n\n1.0 2.0 B: [laugh] low\n"
    )


def _swbd(place: Path) -> None:
    """A call of Switchboard and one of each of its test sets, all of the same sound."""
    sound = 0.1 * np.sin(np.outer(np.arange(RATE), (1.0, 1.1)))
    english = "eval03/english/cts"
    for name in ("swbd/sw02001", "hub5/english/en_4156", f"rt03/data/audio/{english}/sw_45142"):
        audio = place / f"{name}.sph"
        audio.parent.mkdir(parents=True)
        soundfile.write(audio, sound, RATE, "ULAW", format="NIST")
    lines = "{0} 0.00 0.10 [silence]\n{0} 0.10 0.30 low\n{0} 0.30 0.40 high low\n"
    ms98 = place / "ms98/20/2001"
    ms98.mkdir(parents=True)
    for side in "AB":
        text = lines.format(f"sw2001{side}-ms98-a-0001")
        (ms98 / f"sw2001{side}-ms98-a-trans.text").write_text(text)
    (place / "ms98/sw-ms98-dict.text").write_text(f"low l ow\n{DELETED}")
    (place / "conv.tab").write_text('2001,"A TOPIC OF SOME LENGTH",1012,1055\n')
    times = ("0.10 0.30", "0.30 0.40")
    pem = "".join(f"en_4156 A unknown {one}\n" for one in times)
    (place / "hub5/english/hub5e_00.pem").write_text(pem)
    reference = place / "hub5text/reference"
    reference.mkdir(parents=True)
    stm = "".join(f"en_4156 A en_4156_A {one} <O,en> LOW\n" for one in times)
    (reference / "hub5e00.english.000405.stm").write_text(stm)
    (reference / "en20000405_hub5.glm").write_text(GLM)
    reference = place / "rt03/data/references" / english
    reference.mkdir(parents=True)
    stm = "".join(f"sw_45142 1 sw_45142_A {one} <O,en> low\n" for one in times)
    (reference / "a.stm").write_text(stm)
    rules = place / "rt03/data/trans_rules"
    rules.mkdir()
    (rules / "en20030506.glm").write_text(GLM)


def _images(place: Path) -> None:
    there = place / "images"
    there.mkdir()
    write_images(images.images(12), there / "train")
    write_images(images.images(6, 1), there / "test")
    (there / "conf.toml").write_text(images.CONFIG)
    out = place / "exp/i_s0"
    assert run(*images.arguments(there, out, "--set", "training.passes=1")) == 0
    assert run("combine", out) == 0
    decoded = out / "decode_test"
    assert run("classify", out, "--data", there / "test", "--out", decoded, "--device", "cpu") == 0
    assert run("score", decoded) == 0


def link(source: Path, target: Path) -> None:
    """Makes `target` a copy of `source`, of hard links."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)


def contents(place: Path, names: Iterable[str] = ()) -> dict[str, str]:
    """The hash of every file in `place` and the name of every directory, but for `names`.

    An index.bin is made by whoever reads the features first, and is no output.
    """
    left_out = {*names, "index.bin"}
    found = {}
    known: dict[tuple[int, int], str] = {}
    for directory, folders, files in os.walk(place):
        folders[:] = [name for name in folders if name not in left_out]
        where = os.path.relpath(directory, place)
        found |= {f"{where}/{name}": "directory" for name in folders}
        for name in files:
            if name in left_out:
                continue
            path = os.path.join(directory, name)
            status = os.lstat(path)
            key = (status.st_ino, status.st_mtime_ns)
            if key not in known:
                known[key] = _hash(path)
            found[f"{where}/{name}"] = known[key]
    return found


def _hash(path: str) -> str:
    if os.path.islink(path) or not os.path.isfile(path):
        return "no file"
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
