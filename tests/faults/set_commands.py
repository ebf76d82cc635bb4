"""Rows of the table of commands that make sets of data, and look at them."""

from __future__ import annotations

from tests.faults.command import NOTHING, READS, Command

SETS = "place/new$"  # the directory of the sets, empty
WAV = {"wav/s0/0.wav": "wav"}


def a_set(name: str) -> dict[str, str]:
    return {name: "directory", f"{name}/cuts.jsonl.gz": "cuts"}


def _data(operation: str) -> Command:
    """Of an operation on sets, which all do the same with the disk."""
    line = f"data {operation} --out"
    same = [f"{line} train --overwrite"]
    return Command(f"{line} place/new", a_set("train"), "place", same, needs="dev")


COMMANDS = {
    "prepare yesno": Command(
        "prepare yesno yesno place/new",
        {"yesno": "directory", "yesno/0_0_0_0_0_0_0_0.wav": "wav"},
        "place",
        ["prepare yesno yesno yesno --overwrite"],
        stays=SETS,
    ),
    "prepare digits": Command(
        "prepare digits digits place/new",
        {
            "digits": "directory",
            "digits/recordings": "directory",
            "digits/recordings/0_george_0.wav": "wav",
        },
        "place",
        ["prepare digits digits digits --overwrite"],
        stays=SETS,
    ),
    "prepare kaldi": Command(
        "prepare kaldi kaldi place/new",
        {
            "kaldi": "directory",
            "kaldi/wav.scp": "table",
            "kaldi/text": "table",
            "kaldi/utt2spk": "table",
            "kaldi/segments": "table",
            "kaldi/spk2gender": "table",
            "kaldi/reco2file_and_channel": "table",
            **WAV,
        },
        "place",
        [
            "prepare kaldi kaldi kaldi --overwrite",
            "prepare kaldi kaldi . --overwrite",
            "prepare kaldi kaldi wav --overwrite",
            "prepare kaldi kaldi kaldi/new",
        ],
        needs="wav",
    ),
    "prepare folder": Command(
        "prepare folder wav place/new --split dev=0.2",
        {"wav": "directory", **WAV, "wav/s0/0.txt": "txt"},
        "place",
        [
            "prepare folder wav wav --overwrite",
            "prepare folder wav . --overwrite",
            "prepare folder wav wav/s0 --overwrite",
            "prepare folder . . --split wav=0.2 --overwrite",
        ],
        stays=SETS,
    ),
    "prepare tedlium": Command(
        "prepare tedlium tedlium place/new --lm-dev-lines 1",
        {
            "tedlium": "directory",
            "tedlium/train/stm/T_2001.stm": "talk",
            "tedlium/train/sph/T_2001.sph": "sph",
            "tedlium/TEDLIUM.152k.dic": "lexicon",
            "tedlium/LM/a.en.gz": "text",
        },
        "place",
        ["prepare tedlium tedlium tedlium --overwrite", "prepare tedlium tedlium . --overwrite"],
        stays=SETS,
    ),
    "prepare ami": Command(
        "prepare ami ami place/new",
        {
            "ami": "directory",
            "ami/annotations/corpusResources/meetings.xml": "meetings",
            "ami/annotations/words/ES2002a.A.words.xml": "words.xml",
            "ami/annotations/segments/ES2002a.A.segments.xml": "segments.xml",
            "ami/ES2002a/audio/ES2002a.Headset-0.wav": "wav",
        },
        "place",
        ["prepare ami ami ami --overwrite", "prepare ami ami ami/new"],
        stays=SETS,
    ),
    "prepare ami annotations": Command(
        "prepare ami ami place/new --mic sdm1 --annotations ami/annotations",
        {"ami/annotations": "directory"},
        "place",
        ["prepare ami wav ami/annotations --annotations ami/annotations --overwrite"],
        needs="ami wav",
        stays=SETS,
    ),
    "prepare ami-dict": Command(
        "prepare ami-dict cmudict place/new --words wordlist --data train",
        {"cmudict": "lexicon", "wordlist": "vocabulary", **a_set("train")},
        "place",
        [
            "prepare ami-dict cmudict train --data train --overwrite",
            "prepare ami-dict kaldi/text kaldi --overwrite",
        ],
        needs="kaldi",
    ),
    "prepare fisher": Command(
        "prepare fisher fisher place/new",
        {"fisher": "directory", "fisher/data/trans/000/fe_03_00001.txt": "text"},
        "place",
        [
            "prepare fisher fisher fisher --overwrite",
            "prepare fisher fisher fisher/new",
            "prepare fisher fisher . --overwrite",
        ],
    ),
    "prepare swbd": Command(
        "prepare swbd swbd place/new --transcripts ms98 --conv-tab conv.tab --lm-dev-lines 1",
        {
            "swbd": "directory",
            "swbd/sw02001.sph": "call",
            "ms98": "directory",
            "ms98/20/2001/sw2001A-ms98-a-trans.text": "ms98",
            "ms98/sw-ms98-dict.text": "lexicon",
            "conv.tab": "conv.tab",
        },
        "place",
        [
            "prepare swbd swbd swbd --transcripts ms98 --overwrite",
            "prepare swbd swbd ms98 --transcripts ms98 --overwrite",
        ],
        stays=SETS,
    ),
    "prepare eval2000": Command(
        "prepare eval2000 hub5 place/new --transcripts hub5text --calls 1",
        {
            "hub5": "directory",
            "hub5/english/en_4156.sph": "call",
            "hub5/english/hub5e_00.pem": "pem",
            "hub5text": "directory",
            "hub5text/reference/hub5e00.english.000405.stm": "pem",
            "hub5text/reference/en20000405_hub5.glm": "text",
        },
        "place",
        [
            "prepare eval2000 hub5 hub5text --transcripts hub5text --calls 1 --overwrite",
            "prepare eval2000 hub5 . --transcripts hub5text --calls 1 --overwrite",
        ],
    ),
    "prepare rt03": Command(
        "prepare rt03 rt03 place/new",
        {
            "rt03": "directory",
            "rt03/data/audio/eval03/english/cts/sw_45142.sph": "call",
            "rt03/data/references/eval03/english/cts/a.stm": "pem",
            "rt03/data/trans_rules/en20030506.glm": "text",
        },
        "place",
        ["prepare rt03 rt03 rt03 --overwrite", "prepare rt03 rt03 rt03/new"],
    ),
    "prepare cifar10": Command(
        "prepare cifar10 cifar10 place/new --unofficial",
        {"cifar10": "directory", "cifar10/data_batch_1": "batch", "cifar10/batches.meta": "meta"},
        "place",
        ["prepare cifar10 cifar10 cifar10 --unofficial --overwrite"],
        stays=SETS,
    ),
    "prepare cifar100": Command(
        "prepare cifar100 cifar100 place/new --unofficial",
        {"cifar100": "directory", "cifar100/train": "batch", "cifar100/meta": "meta"},
        "place",
        ["prepare cifar100 cifar100 cifar100 --unofficial --overwrite"],
        stays=SETS,
    ),
    "prepare mnist": Command(
        "prepare mnist mnist place/new",
        {
            "mnist": "directory",
            "mnist/train-images-idx3-ubyte.gz": "idx images",
            "mnist/train-labels-idx1-ubyte.gz": "idx labels",
        },
        "place",
        ["prepare mnist mnist mnist --overwrite"],
        stays=SETS,
    ),
    "data subset": _data("subset train --count 5"),
    "data subset ids": Command(
        "data subset train --ids kaldi/utt2spk --out place/new",
        {"kaldi/utt2spk": "table"},
        "place",
        [
            "data subset train --ids kaldi/utt2spk --out kaldi --overwrite",
            "data subset train --count 5 --out . --overwrite",
            "data subset train --count 5 --out train/new",
        ],
        needs="train",
    ),
    "data remove-duplicates": _data("remove-duplicates train --max 3"),
    "data combine-short": _data("combine-short train --min 1"),
    "data split-speakers": _data("split-speakers train --seconds 1"),
    "data extend": _data("extend train"),
    "data merge": _data("merge train dev"),
    "data parallel": _data("parallel train train"),
    "data copy": _data("copy train --utterance-prefix a-"),
    "data to-kaldi": _data("to-kaldi train"),
    "validate": Command(
        "validate train dev --lexicon lexicon",
        {**a_set("train"), **WAV, "lexicon": "lexicon"},
        NOTHING,
        READS,
        needs="dev wav",
    ),
    "validate fix": Command(
        "validate train --fix",
        {**a_set("train")},
        "train",
        "it mends what it reads",
        needs="wav/s0",
    ),
}
