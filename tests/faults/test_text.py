"""Text of all encodings and endings, and damaged .gz files."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.nnet.nets.xconfig import parse_xconfig
from chainstitch.utils import config
from chainstitch.utils.corpora import folder, kaldi_dir
from chainstitch.utils.data.alignments import AlignmentFile, read_alignments
from chainstitch.utils.data.feature_index import INDEX
from chainstitch.utils.data.features import FeatureConfig
from chainstitch.utils.data.images import read_classes
from chainstitch.utils.data.manifests import CUTS, cut_text, read_cuts
from chainstitch.utils.data.sentences import read_sentences
from chainstitch.utils.data.validate import lexicon_words
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lang import directory
from chainstitch.utils.lang.lexicon import read_lexicon
from chainstitch.utils.score.boundaries import ctm_words
from chainstitch.utils.score.text import read_text, read_utt2spk
from tests.faults.arpa import ARPA
from tests.faults.refusals import outcome, refused
from tests.toy import FEATURES, LEXICON, TRAINING, Toy

ROOT = Path(__file__).resolve().parents[2]
XCONFIG = "input name=input dim=13\noutput-layer name=output\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a lexicon, an ARPA file, a Kaldi directory of one utterance, ..."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "lexicon": LEXICON, "extra": LEXICON, "lm": ARPA, "text": "low high\n", "conf": FEATURES,
        "k/wav.scp": "u ../u.wav\n", "k/text": "u low high\n", "k/utt2spk": "u s\n",
        "k/segments": "u u 0 0.5\n", "f/u.txt": "low high\n", "words": "low\nhigh\n",
        "decode_dev/ref": "u low\n", "decode_dev/hyp_10_0.0": "u low\n",
        "decode_dev/utt2spk": "u s\n", "x.xconfig": XCONFIG, "train.toml": TRAINING,
        "a.ctm": "u 1 0.0 0.5 low\n", "b.ctm": "u 1 0.0 0.5 low\n", "ivector.toml": "dim = 4\n",
        "choice.toml": 'lmwt = 10.0\nwip = 0.0\nset = "x"\nline = "x"\npoints = 1\n',
    }  # fmt: skip
    for name, text in texts.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    soundfile.write("u.wav", np.random.default_rng(1).normal(size=4000) * 0.1, 8000)
    shutil.copy("u.wav", "f/u.wav")
    return tmp_path


def give(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)


# -- bytes that are not UTF-8: in each file that a command reads

LANG = ["lang", "lexicon", "--grammar", "uniform", "--out", "o"]
READ: dict[str, tuple[str, list[str], int]] = {  # the file, the command, its code
    "lexicon": ("lexicon", LANG, 1),
    "extra lexicon": ("extra", [*LANG, "--extra-lexicon", "extra"], 1),
    "words from": ("text", [*LANG, "--words-from", "text"], 1),
    "text of the LM": ("text", ["lang", "lexicon", "--text", "text", "--out", "o"], 1),
    "ARPA": ("lm", ["lang", "lexicon", "--lm", "lm", "--out", "o"], 1),
    "wav.scp": ("k/wav.scp", ["prepare", "kaldi", "k", "o"], 1),
    "text": ("k/text", ["prepare", "kaldi", "k", "o"], 1),
    "utt2spk": ("k/utt2spk", ["prepare", "kaldi", "k", "o"], 1),
    "segments": ("k/segments", ["prepare", "kaldi", "k", "o"], 1),
    "transcript": ("f/u.txt", ["prepare", "folder", "f", "o"], 1),
    "features.toml": ("conf", ["features", "conf", "--data", "d", "--out", "o"], 2),
    "train.toml": (
        "train.toml",
        ["train", "train.toml", "--data", "d", "--lang", "l", "--den", "g", "--out", "o"], 2,
    ),
    "ivector.toml": (
        "ivector.toml", ["ivectors", "train", "ivector.toml", "--data", "d", "--out", "o"], 2,
    ),
    "ref": ("decode_dev/ref", ["score", "decode_dev"], 1),
    "hyp": ("decode_dev/hyp_10_0.0", ["score", "decode_dev"], 1),
    "decode_dev/utt2spk": ("decode_dev/utt2spk", ["score", "decode_dev"], 1),
    "choice.toml": ("choice.toml", ["score", "decode_dev", "--choice", "choice.toml"], 2),
    "xconfig": ("x.xconfig", ["info", "x.xconfig", "--num-pdfs", "5"], 1),
    "ctm": ("a.ctm", ["score-ali", "a.ctm", "b.ctm"], 1),
    "ctm of the truth": ("b.ctm", ["score-ali", "a.ctm", "b.ctm"], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_bytes_that_are_not_utf8_are_named(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, command, code = READ[name]
    whole = Path(file).read_bytes()
    give(file, whole + b"Stra\xdfe\n")
    number = 1 + whole.count(b"\n")
    if file == "lm":
        give(file, whole.replace(b"high\t", b"hi\xdfh\t"))
        number = 10
    line = refused(command, place, capsys, code)
    assert f"{file}:{number}: byte" in line.replace("language model lm", "lm"), line
    assert "0xdf, is not UTF-8" in line and "iconv" in line
    give(file, whole.decode().encode("utf-16"))
    line = refused(command, place, capsys, code)
    assert file in line and ("is UTF-16, wanted UTF-8" in line or file == "lm"), line


@pytest.mark.parametrize("name", [n for n in READ if n not in ("train.toml", "ivector.toml")])
def test_a_byte_order_mark_is_skipped(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text editors of Windows write it; each command does what it did without."""
    file, command, _ = READ[name]
    if command[0] == "features":
        assert outcome(["prepare", "kaldi", "k", "d"], capsys)[0] == 0
    without = outcome(command, capsys)
    made = {path: path.read_bytes() for path in Path("o").glob("*.*") if path.name != INDEX}
    shutil.rmtree("o", ignore_errors=True)
    give(file, b"\xef\xbb\xbf" + Path(file).read_bytes().replace(b"\n", b"\r\n"))
    within = outcome(command, capsys)
    assert within[0] == without[0] == 0, (within, without)
    for path, content in made.items():
        assert path.read_bytes() == content, path


# -- where lines end

ODD = "\u2028\u0085\x0b\x0c\x1c\x1d\x1e\u2029"  # all that str.splitlines ends lines at


@pytest.mark.parametrize("end", ODD, ids=[f"U+{ord(c):04x}" for c in ODD])
def test_lines_end_at_newlines_only(place: Path, end: str) -> None:
    Path("k/text").write_text(f"u low{end}high low\n")
    kaldi_dir.prepare("k", "data")
    assert cut_text(read_cuts("data")[0]) == "low high low"
    Path("f/u.txt").write_text(f"low{end}high low\n")
    folder.prepare("f", "data2")
    assert cut_text(read_cuts("data2")[0]) == "low high low"
    Path("text").write_text(f"low{end}high\nlow\n")
    assert read_sentences("text") == [["low", "high"], ["low"]]
    Path("lexicon").write_text(f"low L{end}O W\nhigh H\n")
    assert read_lexicon("lexicon") == {"low": [("L", "O", "W")], "high": [("H",)]}
    assert lexicon_words(Path("lexicon")) == {"low", "high"}
    Path("text").write_text(f"u low{end}high\n")
    assert read_text("text") == {"u": ["low", "high"]}
    Path("a.ctm").write_text(f"u 1 0.0{end}0.5 low\n")
    assert ctm_words("a.ctm") == {"u": [(0.0, 0.5, "low")]}
    assert len(parse_xconfig(f"input name=input dim=13 # a{end}comment\n{XCONFIG[24:]}")) == 2
    Path("classes.txt").write_text(f"cat\ndog{end}mouse\n")
    with pytest.raises(UserError, match="wanted different names"):
        read_classes(Path("classes.txt"))


# -- tables and alignments of a lang directory

PHONES = {"SIL": 1, "L": 2}
TABLES: dict[str, tuple[Callable[[], object], str, bytes, str]] = {
    "latin1": (lambda: directory.read_table(Path("t")), "t", b"<eps> 0\n\xe9 1\n", "t:2: byte 1"),
    "too large": (
        lambda: directory.read_table(Path("t")), "t", b"<eps> 0\na 99999999999\n", "t:2: wanted",
    ),
    "arabic digit": (
        lambda: directory.read_table(Path("t")), "t", "<eps> 0\na \u0661\n".encode(), "t:2: wanted",
    ),
    "ali latin1": (
        lambda: read_alignments("ali.gz", PHONES), "ali.gz",
        gzip.compress(b"u SIL 3\n\xe9 SIL 3\n"), "ali.gz:2: byte 1",
    ),
    "ali cut short": (
        lambda: read_alignments("ali.gz", PHONES), "ali.gz",
        gzip.compress(b"u SIL 3\n" * 1)[:-9], "ali.gz is damaged near line",
    ),
    "ali with other bytes inside": (
        lambda: list(AlignmentFile("ali.gz", PHONES)), "ali.gz",
        gzip.compress(b"u SIL 3\n")[:12] + b"\xff" * 20, "ali.gz is damaged near line 0",
    ),
    "ali no gzip": (
        lambda: read_alignments("ali.gz", PHONES), "ali.gz", b"u SIL 3\n", "damaged near line 0",
    ),
    "ali too long": (
        lambda: list(AlignmentFile("ali.gz", PHONES)), "ali.gz",
        gzip.compress(b"u SIL 3000000000\n"), r"line 1: a duration above",
    ),
    "ali twice": (
        lambda: read_alignments("ali.gz", PHONES), "ali.gz",
        gzip.compress(b"u SIL 3\nu SIL 4\n"), "line 2: u comes a second time",
    ),
    "ali no number": (
        lambda: read_alignments("ali.gz", PHONES), "ali.gz",
        gzip.compress(b"u SIL 3\nv SIL x\n"), "line 2: ",
    ),
    "utt2spk latin1": (lambda: read_utt2spk("t"), "t", b"u s\n\xe9 s\n", "t:2: byte 1"),
    "ctm of NaN": (lambda: ctm_words("t"), "t", b"u 1 nan 0.5 low\n", "t:1: 'u 1 nan"),
    "ctm of infinity": (lambda: ctm_words("t"), "t", b"u 1 0 1e999 low\n", "t:1: 'u 1 0 1e999"),
    "classes latin1": (lambda: read_classes(Path("t")), "t", b"cat\n\xe9\n", "t:2: byte 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_refused_by_line(place: Path, name: str) -> None:
    call, file, content, wanted = TABLES[name]
    give(file, content)
    with pytest.raises(UserError, match=wanted) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", ["words.txt", "phones.txt", "lexicon.txt"])
def test_a_lang_directory_that_is_not_utf8_is_named(
    own: Toy, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own.lang / file
    path.write_bytes(path.read_bytes().replace(b"l", b"\xe9").replace(b"L", b"\xe9"))
    command = ["den-graph", own.conf, "--data", own.train, "--lang", own.lang, "--out"]
    line = refused([*command, own.place / "new.npz"], own.place, capsys)
    assert f"{path}:" in line and "is not UTF-8" in line


# -- TOML

BAD_TOML = {
    "[" * 3000: "is not valid TOML",
    "sampling_rate = [" + "[" * 3000: "is not valid TOML",
    "sampling_rate = " + "9" * 5000: "is not valid TOML",
    "sampling_rate = 8000\nmean = '\u2028": "is not valid TOML",
}


@pytest.mark.parametrize("text", BAD_TOML, ids=range(len(BAD_TOML)))
def test_toml_that_python_cannot_read(place: Path, text: str) -> None:
    Path("conf").write_text(text)
    with pytest.raises(UsageError, match=BAD_TOML[text]):
        config.load("conf", FeatureConfig)


@pytest.mark.parametrize("value", ["[" * 3000, "9" * 5000], ids=["deep", "long"])
def test_overrides_that_python_cannot_read(place: Path, value: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        config.load("conf", FeatureConfig, [f"sampling_rate={value}"])


# -- gzip


def _flip(content: bytes) -> bytes:
    """The checksum at the end is no longer right."""
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]


GZIP: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[: len(content) // 2],
    "end missing": lambda content: content[:-4],
    "checksum": _flip,
    "zeros inside": lambda content: content[:40] + bytes(30) + content[70:],
    "ones inside": lambda content: content[:12] + b"\xff" * 30 + content[42:],
    "no gzip": lambda content: b"plain text\n",
    "something behind": lambda content: content + b"more",
}


@pytest.mark.parametrize("how", GZIP)
def test_damaged_gzip_is_named(place: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    give("lm.gz", GZIP[how](gzip.compress(ARPA.encode() + b"\n" * 3, mtime=0)))
    line = refused(["lang", "lexicon", "--lm", "lm.gz", "--out", "o"], place, capsys)
    assert "lm.gz" in line
    kaldi_dir.prepare("k", "data")
    path = Path("data", CUTS)
    path.write_bytes(GZIP[how](path.read_bytes()))
    line = refused(["features", "conf", "--data", "data", "--out", "o"], place, capsys)
    assert f"{path} is damaged near line" in line


def test_gzip_by_another_name_is_read(place: Path) -> None:
    give("text", gzip.compress(b"\xef\xbb\xbflow\r\nhigh"))
    assert read_sentences("text") == [["low"], ["high"]]


# -- names of files


def test_names_that_are_not_utf8_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = b"f/v\xff.wav"
    Path("u.wav").rename(name.decode(errors="surrogateescape"))
    line = refused(["prepare", "folder", "f", "o"], place, capsys)
    assert "f/v\\xff.wav: the file's name is not UTF-8; rename it" in line
    code, said, _ = outcome(["prepare", "folder", "f", "o", "--skip-broken"], capsys)
    assert code == 0 and "left out: f/v\\xff.wav" in said
    odd = b"d\xff".decode(errors="surrogateescape")
    for command in (
        ["features", "conf", "--data", odd, "--out", "x"],
        ["prepare", "folder", "f", odd],
        ["transcribe", "exp", odd],
    ):
        assert "d\\xff is not UTF-8" in refused(command, place, capsys, code=2)
