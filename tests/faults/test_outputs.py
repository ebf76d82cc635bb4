"""An output is never an input, and --overwrite replaces only what this program made, of that kind.

The tables say which command line is refused, in a place where every command has something to read,
and by which words; the engine below them wants one line, exit code 2, and everything there as it
was. A new command that writes something needs rows here: see the test of that name.
"""

from __future__ import annotations

import inspect
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from chainstitch.bin import main
from chainstitch.utils.errors import UserError
from tests.faults.output_place import MARK, PHOTO, TRAIN, refused
from tests.toy import run

DECODE = "decode exp --data dev_hires --lang lang --nj 1"
ALIGN = "align exp --data dev_hires --lang lang"
TREE = "tree --data train_hires --ali ali --lang lang --leaves 8"
DEN = "den-graph train.toml --data train --lang lang"
CLASSIFY = "classify imgexp --data img/test --device cpu"
PROBS = "lang-probs ali --lang lang"
EDIT = "cleanup decode exp --data dev_hires --lang lang --nj 1"
CUT = "cleanup cut conf/more --data dev --lang lang"
RESCORE = "rescore exp/decode_dev --lang lang"

# A command whose output is an input, contains one or lies in one -> what it says.
INPUTS = {
    "prepare folder wav wav": "wav is an input, too;",
    "prepare folder wav wav/s1": "lies in an input (wav)",
    "prepare folder wav wav/new --split dev=0.2": "lies in an input (wav)",
    "prepare folder wav/s1 wav": "contains an input (wav/s1)",
    "prepare kaldi kaldi kaldi": "is an input, too",
    "prepare kaldi kaldi kaldi/new": "lies in an input",
    "prepare kaldi kaldi wav/s0": "was not made by",  # recordings
    "prepare yesno wav wav/new": "lies in an input",
    "prepare digits wav wav": "lies in an input",
    "prepare tedlium wav wav": "lies in an input",
    "prepare ami wav wav": "lies in an input",
    "prepare ami wav kaldi --annotations kaldi": "lies in an input",
    "prepare ami-dict kaldi/text kaldi": "contains an input (kaldi/text)",
    "prepare fisher wav wav/new": "lies in an input",
    "prepare swbd wav wav": "lies in an input",
    "prepare eval2000 wav wav/new --transcripts train": "lies in an input",
    "prepare rt03 wav wav": "is an input, too",
    "prepare cifar10 cifar cifar/new": "lies in an input",
    "prepare cifar100 cifar cifar": "lies in an input",
    "prepare mnist mnist mnist/new": "lies in an input",
    "data subset train --count 5 --out train": "is an input, too",
    "data subset train --ids kaldi/text --out kaldi": "contains an input (kaldi/text)",
    "data remove-duplicates train --max 3 --out train": "is an input, too",
    "data combine-short train --out train/new": "lies in an input (train)",
    "data split-speakers train --seconds 1 --out link": "is an input, too (train)",
    "data copy train --out ./train": "is an input, too",
    "data merge train dev --out dev": "is an input, too",
    "data merge train dev --out .": "contains an input (train)",
    "data extend train --out train/new": "lies in an input (train)",
    "data parallel train dev --out dev": "is an input, too",
    "data to-kaldi train --out train": "is an input, too",
    "features mfcc.toml --data train --out train": "is an input, too",
    "features mfcc.toml --data train --out ./lang/../train": "is an input, too (train)",
    "features mfcc.toml --data link --out train": "is an input, too (link)",
    "features mfcc.toml --data train --out link/new": "lies in an input (train)",
    "features mfcc.toml --data train --out train/new": "lies in an input (train)",
    "features mfcc.toml --data train --out .": "contains an input",
    "features mfcc.toml --data dev --prior train_hires --out train_hires": "is an input, too",
    "features conf/mfcc.toml --data train --out conf": "contains an input (conf/mfcc.toml)",
    "features mfcc.toml --data train --out wav/s0": "was not made by",  # recordings
    "features mfcc.toml --data a.parts/1of2 --out a --part 1/2": "a.parts contains an input",
    "features mfcc.toml --data a.parts/1of2 --out a --merge 2": "a.parts contains an input",
    "ivectors train ivector.toml --data train_hires --out train_hires": "is an input, too",
    "ivectors train ivector.toml --data train_hires --out train_hires/i": "lies in an input",
    "ivectors train conf/ivector.toml --data train_hires --out conf": "contains an input",
    "ivectors extract ivec --data dev_hires --out ivec/ivector.pt": "exists already",
    "ivectors extract ivec --data dev_hires --out dev_hires/feats/feats.h5": "exists already",
    "ivectors extract ivec --data dev_hires --out dev_hires": "is an input, too",
    "lang lang/lexicon.txt --grammar uniform --out lang": "contains an input (lang/lexicon.txt)",
    "lang lexicon --text train --out train": "is an input, too",
    "lang lexicon --text train --out train/lang": "lies in an input",
    "lang lexicon --lm conf/lm.arpa --out conf": "contains an input (conf/lm.arpa)",
    "lang lexicon --grammar uniform --words-from dev --out dev": "is an input, too",
    "lang lexicon --grammar uniform --extra-lexicon conf/more --out conf": "contains an input",
    "lm train conf/more train --out conf/more": "is an input, too",
    "lm train train --out train": "is an input, too",
    "lm train train --out train/cuts.jsonl.gz": "exists already",
    "lm train train --vocab lexicon --out lexicon": "is an input, too",
    "lm mix conf/lm.arpa conf/more --weight 0.5 --weight 0.5 --out conf/more": "is an input, too",
    "lm mix conf/lm.arpa --heldout dev --out dev/cuts.jsonl.gz": "exists already",
    "lm prune conf/lm.arpa --threshold 0.1 --out ./conf/lm.arpa": "is an input, too",
    "lm limit conf/lm.arpa --vocab lexicon --out conf/lm.arpa": "is an input, too",
    "lm limit conf/lm.arpa --vocab lexicon --out lexicon": "is an input, too",
    f"{PROBS} --out ali": "is an input, too",
    f"{PROBS} --out lang/dict": "lies in an input (lang)",
    f"{PROBS} --out .": "contains an input (ali)",
    f"{TREE} --out train_hires": "is an input, too",
    f"{TREE} --out ali": "is an input, too",
    f"{TREE} --out ali/tree": "lies in an input",
    f"{TREE} --out lang": "is an input, too",
    f"{DEN} --out train.toml": "is an input, too",
    f"{DEN} --out lang": "is an input, too",
    f"{DEN} --out lang/phones.txt": "exists already",
    f"{DEN} --out train/cuts.jsonl.gz": "exists already",
    f"{DEN} --ali ali --out ali/ali.gz": "exists already",
    f"{DEN} --out new.npz --text train.toml": "is an input, too",
    f"{DEN} --out new.npz --text lang/words.txt": "exists already",
    f"{DEN} --out new.npz --text new.npz": "is an input, too",
    f"{TRAIN} --out train_hires": "is an input, too",
    f"{TRAIN} --out dev_hires": "is an input, too",
    f"{TRAIN} --out lang": "is an input, too",
    f"{TRAIN} --out lang/deep/exp": "lies in an input (lang)",
    f"{TRAIN} --ali ali --out ali": "is an input, too",
    f"{TRAIN} --ali ali --valid-ali exp/ali_dev --out exp": "contains an input",
    f"{TRAIN.replace('den.npz', 'exp/den.npz')} --out exp": "contains an input (exp/den.npz)",
    f"{TRAIN.replace('train.toml', 'exp/config.toml')} --out exp": "contains an input",
    "train img/conf.toml --data img/train --valid img/test --out img/test": "is an input, too",
    f"{ALIGN} --out dev_hires": "is an input, too",
    f"{ALIGN} --out exp": "is an input, too",
    f"{ALIGN} --out lang/ali": "lies in an input (lang)",
    f"{ALIGN} --out exp/log": "where training keeps its own (log)",
    f"{ALIGN} --out exp/numerators/dev": "where training keeps its own (numerators)",
    f"{ALIGN} --out exp/tensorboard": "where training keeps its own (tensorboard)",
    "align exp wav/s0/0.wav --out wav/s0": "contains an input (wav/s0/0.wav)",
    f"{DECODE} --out exp": "is an input, too",
    f"{DECODE} --out exp/": "is an input, too",
    f"{DECODE} --out .": "contains an input",
    f"{DECODE} --out dev_hires": "is an input, too",
    f"{DECODE} --out lang/d": "lies in an input",
    f"{DECODE} --out exp/q/d": "where training keeps its own (q)",
    f"{DECODE} --out exp/decode_dev/d": "lies in ",
    f"{DECODE} --out exp --part 1/2": "is an input, too",
    f"{DECODE} --out exp/decode_dev --choice exp/decode_dev/choice.toml": "contains an input",
    f"{EDIT} --out exp": "is an input, too",
    f"{EDIT} --out dev_hires": "is an input, too",
    f"{EDIT} --out lang/edits": "lies in an input (lang)",
    f"{EDIT} --out exp/log": "where training keeps its own (log)",
    f"{EDIT} --out exp/decode_dev/e": "lies in ",
    f"{EDIT} --out exp --part 1/2": "is an input, too",
    f"{CUT} --out dev": "is an input, too",
    f"{CUT} --out lang/cleaned": "lies in an input (lang)",
    f"{CUT} --out conf": "contains an input (conf/more)",
    f"{CUT} --limits a.parts/l.toml --out a.parts": "contains an input",
    f"{CUT} --non-scored a.parts/words --out a.parts": "contains an input",
    f"{RESCORE} --out exp/decode_dev": "is an input, too",
    f"{RESCORE} --out exp/decode_dev/r": "lies in an input (exp/decode_dev)",
    f"{RESCORE} --out exp": "contains an input",
    f"{RESCORE} --out exp/log": "where training keeps its own (log)",
    f"{RESCORE} --out exp/q/r": "where training keeps its own (q)",
    f"{RESCORE} --out lang": "is an input, too",
    f"{RESCORE} --arpa conf/lm.arpa --out conf": "contains an input (conf/lm.arpa)",
    f"{CLASSIFY} --out imgexp": "is an input, too",
    f"{CLASSIFY} --out img/test": "is an input, too",
    f"{CLASSIFY} --out imgexp/jobs/a": "where training keeps its own (jobs)",
    "export exp --out exp/final.pt": "exists already",
    "export exp --out exp/config.toml": "exists already",
    "export exp --out exp": "is an input, too",
    "export exp --data dev_hires --out dev_hires/feats/feats.h5": "exists already",
    "plot exp --out exp/photo.png": "exists already",
    "compare exp --markdown exp/train.jsonl": "exists already",
    "compare exp --markdown exp/decode_dev/ref": "exists already",
}

# A command that writes a directory "out", and the kind of that.
DIRECTORIES = {
    "prepare folder wav": "set",
    "prepare kaldi kaldi": "set",
    "data subset train --count 5 --out": "set",
    "data to-kaldi train --out": "kaldi",
    "features mfcc.toml --data dev --out": "features",
    "ivectors train ivector.toml --data train_hires --out": "ivectors",
    "lang lexicon --grammar uniform --out": "lang",
    f"{PROBS} --out": "dictionary",
    f"{TREE} --out": "tree",
    f"{TRAIN} --out": "experiment",
    f"{ALIGN} --out": "alignment",
    f"{DECODE} --out": "decoding",
    f"{EDIT} --out": "edits",
    f"{CUT} --out": "set",
    f"{RESCORE} --out": "decoding",
    f"{CLASSIFY} --out": "classification",
}

# A command that writes a file "out".
FILES = [
    "ivectors extract ivec --data dev_hires --out",
    "lm train train --out",
    "lm mix conf/lm.arpa --weight 1 --out",
    "lm prune conf/lm.arpa --threshold 0.1 --out",
    "lm limit conf/lm.arpa --vocab lexicon --out",
    f"{DEN} --out",
    f"{DEN} --out new.npz --text",
    "export exp --format torchscript --out",
    "plot exp --out",
    "compare exp --markdown",
    "combine exp",  # which writes exp/final.pt
]


def test_a_new_command_that_writes_has_rows_here() -> None:
    rows = [*INPUTS, *DIRECTORIES, *FILES]
    for name, function in main.COMMANDS.items():
        parts = getattr(sys.modules[function.__module__], "SUBCOMMANDS", {"": function})
        for part, does in parts.items():
            if {"out", "overwrite", "markdown"} & set(inspect.signature(does).parameters):
                command = f"{name} {part}".strip() + " "
                assert any(f"{row} ".startswith(command) for row in rows), command


@pytest.mark.parametrize("command", INPUTS)
def test_an_output_that_has_to_do_with_an_input_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    refused(place, capsys, command, INPUTS[command])


@pytest.mark.parametrize("command", DIRECTORIES)
def test_only_a_directory_of_our_making_and_of_that_kind_is_replaced(
    place: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    kind, out = DIRECTORIES[command], place / "out"
    out.mkdir()
    (out / "mine").write_text("precious")
    refused(place, capsys, f"{command} out", "was not made by chainstitch ")
    (out / MARK).symlink_to(place / "marked" / MARK)  # a mark is a file
    refused(place, capsys, f"{command} out", "was not made by chainstitch ")
    (out / MARK).unlink()
    other = "lang" if kind != "lang" else "set"
    for text in (f"# a comment\n{other}\n", kind):
        (out / MARK).write_text(text)
        wanted = f"({other}, not {kind})" if other in text else "was not made by chainstitch"
        refused(place, capsys, f"{command} out", wanted)
    shutil.rmtree(out)
    out.write_text("precious")
    refused(place, capsys, f"{command} out", "it is a file")
    out.unlink()
    for target in ("marked", "empty"):
        (place / "marked" / MARK).write_text(f"# a comment\n{kind}\n")
        out.symlink_to(target)
        refused(place, capsys, f"{command} out", "it is a symbolic link")
        out.unlink()


@pytest.mark.parametrize("command", FILES)
def test_only_a_file_of_that_kind_is_replaced(
    place: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    suffix = ".png" if command.startswith("plot") else ""
    out, command = place / f"out{suffix}", f"{command} out{suffix}"
    if command.startswith("combine"):
        out, command = place / "exp" / "final.pt", "combine exp"
        out.unlink()
    else:
        for content in (b"precious", PHOTO):
            out.write_bytes(content)
            refused(place, capsys, command, "does not look like a file of this kind")
        out.unlink()
    for target in ("conf/more", "wav", "nowhere"):
        out.symlink_to(place / target)
        refused(place, capsys, command, "it is a symbolic link")
        out.unlink()
    out.mkdir()
    refused(place, capsys, command, "it is a directory")
    out.rmdir()
    os.mkfifo(out)
    refused(place, capsys, command, "it is no plain file")


@pytest.mark.parametrize(
    ("command", "out", "again"),
    [
        (f"{DECODE} --out exp/decode_more", "exp/decode_more", True),
        (f"{CLASSIFY} --out imgexp/decode_more", "imgexp/decode_more", True),
        (f"{ALIGN} --max-dropped 1 --out exp/deep/ali_dev", "exp/deep/ali_dev", True),
        ("export exp --out exp/model.pt", "exp/model.pt", True),
        ("ivectors extract ivec --data dev_hires", "dev_hires/ivectors.h5", True),
        ("lm train train --out train/lm.arpa.gz", "train/lm.arpa.gz", True),
        (f"{DEN} --out lang/den.npz --text lang/den.txt", "lang/den.npz", True),
        ("plot exp", "exp/objective.png", False),
        ("compare exp --markdown exp/RESULTS.md", "exp/RESULTS.md", False),
    ],
)
def test_what_belongs_to_an_input_may_be_made_in_it_and_replaced(
    place: Path, capsys: pytest.CaptureFixture[str], command: str, out: str, again: bool
) -> None:
    words = shlex.split(command)
    assert run(*words) == 0 and (place / out).exists()
    if again:
        refused(place, capsys, command, "pass --overwrite to replace it", overwrite=False)
    if (place / out).is_file() and not out.endswith(".md"):  # also one that was cut short
        content = (place / out).read_bytes()
        (place / out).write_bytes(content[: max(len(content) - 20, len(content) // 2)])
    assert run(*words, *(["--overwrite"] if again else [])) == 0


def test_training_keeps_its_own_only_where_that_is_known(place: Path) -> None:
    from chainstitch.nnet.train.averaged_jobs import result_of
    from chainstitch.utils.outputs import OF_TRAINING

    made = {path.name for path in (place / "exp").iterdir() if path.is_dir()}
    own = {name for name in made if not name.startswith(("graph_", "decode_", "ali_"))}
    assert own and own | {result_of(place, 0, 1).parent.name} <= {*OF_TRAINING}


@pytest.mark.parametrize("name", [".", "..", "deep/.."])
def test_where_one_is_cannot_be_made_anew(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    at = place / "empty" / "deep" if name == ".." else place / "empty"
    (place / "empty" / "deep").mkdir(exist_ok=True)
    monkeypatch.chdir(at)
    command = f"lang {place}/lexicon --grammar uniform --out {name}"
    refused(place, capsys, command, "the directory that you are in")


def test_recordings_in_a_set_of_our_making_are_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place / "wav" / "s0", place / "train" / "audio")
    (place / "kaldi" / "wav.scp").write_text(f"s0-0 {place}/train/audio/0.wav\n")
    wanted = f"train holds {place}/train/audio/0.wav"
    refused(place, capsys, "prepare kaldi kaldi train --overwrite", wanted, overwrite=False)


def test_merging_shares_removes_nothing_else(place: Path) -> None:
    command = shlex.split("features mfcc.toml --data dev --out new")
    for number in (1, 2):
        assert run(*command, "--part", f"{number}/2") == 0
    (place / "new.parts" / "notes").write_text("precious")
    (place / "new.parts" / "3of3").mkdir()
    (place / "new.parts" / "3of3" / "mine").write_text("precious")
    assert run(*command, "--merge", 2) == 0
    left = sorted(p.name for p in (place / "new.parts").rglob("*"))
    assert left == ["3of3", "mine", "notes"]


@pytest.mark.parametrize("damage", ["garbage", "cut", "other graph", "nothing"])
def test_a_search_graph_that_was_written_over_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    (graph,) = (place / "exp").glob("graph_lang_*/HLG.fst")
    content = graph.read_bytes()
    if damage == "other graph":
        shutil.copy(place / "lang" / "L.fst", graph)
    else:
        graph.write_bytes({"garbage": b"x" * 99, "cut": content[:-9], "nothing": b""}[damage])
    command = f"{DECODE} --out exp/decode_more"
    refused(place, capsys, command, "HLG.fst is damaged", code=1, overwrite=False)
    refused(place, capsys, "transcribe exp wav/s0/0.wav", "HLG.fst", code=1, overwrite=False)
    shutil.rmtree(graph.parent)
    assert run(*shlex.split(command)) == 0 and graph.read_bytes() == content


def test_what_is_not_ours_at_the_name_of_a_search_graph_stays(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (graph,) = (place / "exp").glob("graph_lang_*")
    shutil.rmtree(graph)
    graph.mkdir()
    (graph / "mine").write_text("precious")
    command = f"{DECODE} --out exp/decode_more"
    refused(place, capsys, command, f"{graph.name} exists already", overwrite=False)


def test_a_directory_of_leases_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chainstitch.utils.queue import gpus

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"chainstitch-gpus-{os.getuid()}").symlink_to("theirs")
    with pytest.raises(UserError, match="is not a directory of yours"):
        gpus.take(["0"], 1)
    assert list((tmp_path / "theirs").iterdir()) == []


def test_training_that_goes_on_removes_only_what_training_left(place: Path) -> None:
    exp = place / "exp"
    (exp / ".tmp-1-5.pt").write_text("half")
    (exp / ".tmp-1-decode_dev").mkdir()
    for name in (".tmp-mine", ".tmp-1-notes"):
        (exp / name).write_text("precious")
    from chainstitch.nnet.train.checkpoints import Checkpoints

    Checkpoints(exp, 1).newest("cpu")
    left = {path.name for path in exp.glob(".tmp-*")}
    assert left == {".tmp-1-decode_dev", ".tmp-mine", ".tmp-1-notes"}
