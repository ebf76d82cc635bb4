"""What comes of faults, where it is not the rule that the message names the broken file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fails:
    """A pattern that the line of the error has, and the exit codes that may be."""

    text: str
    codes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Well:
    """It goes well: why that is right, and a pattern of what is said of it."""

    reason: str
    says: str = ""


SAID = "what is missing is told, and kept for `validate` to name"
OTHERS = "the other batches are shown"
ITS_OWN = "what it says of the network is left out"

EMPTY = "an utterance without a hypothesis counts as empty, and is told"
AGAIN = "it is made again from what it was made of"
EARLIER = "training goes on from the checkpoint before, or from the beginning, and says so"

EXPECTED: dict[tuple[str, str, str], Fails | Well] = {
    ("prepare yesno", "truncated", "yesno/0_0_0_0_0_0_0_0.wav"): Well(SAID, "only that much of it"),
    ("prepare folder", "missing", "wav/s0/0.txt"): Well(SAID, "wav/s0/0.txt is missing"),
    ("prepare folder", "empty", "wav/s0/0.txt"): Well("it has an empty transcript"),
    ("prepare folder", "truncated", "wav/s0/0.txt"): Well("half a text is a text"),
    ("prepare folder", "wrong type", "wav/s0/0.txt"): Well(SAID, "wav/s0/0.txt is missing"),
    ("prepare cifar10", "missing", "cifar10/batches.meta"): Well("the ten names are known"),
    ("validate", "garbage", "wav/s0/0.wav"): Fails("audio file not readable"),
    ("features", "empty", "mfcc.toml"): Fails("sampling_rate"),
    ("features", "wrong dimension", "mfcc.toml"): Fails("num_ceps"),
    ("lang", "empty", "text.txt"): Fails("the LM's text holds no words"),
    ("lang", "truncated", "text.txt"): Fails("not in the lexicon: 'ri'"),
    ("ivectors train", "empty", "ivector.toml"): Fails("smaller num_gauss"),
    ("ivectors train", "truncated", "ivector.toml"): Well("every key has a default"),
    ("ivectors train", "wrong dimension", "ivector.toml"): Fails("smaller pca_dim"),
    ("den-graph", "wrong dimension", "train.toml"): Well("only its [graph] counts"),
    ("train", "missing", "train_hires/index.bin"): Well(AGAIN),
    **{
        ("train", fault, "train_hires/index.bin"): Well(AGAIN, "making it again")
        for fault in ("empty", "garbage", "truncated", "wrong type")
    },
    ("train resume", "missing", "exp/begun_s0/1.pt"): Well(EARLIER, "has no checkpoint yet"),
    **{
        ("train resume", fault, "exp/begun_s0/1.pt"): Well(EARLIER, "1.pt cannot be read")
        for fault in ("empty", "garbage", "truncated")
    },
    ("classify", "truncated", "exp/i_s0/config.toml"): Well("the half that counts is there"),
    **{
        ("score", fault, "exp/a_s0/decode_dev/hyp_10_0.0"): Well(EMPTY, "have no hypothesis")
        for fault in ("empty", "truncated")
    },
    ("score-ali", "empty", "ctm"): Fails("of 0 utterances with known times"),
    ("score-ali", "truncated", "ctm"): Well("fewer words are known; they are counted"),
    ("compare", "missing", "place/RESULTS.md"): Well("it is made"),
    ("compare", "empty", "place/RESULTS.md"): Well("it is filled"),
    ("compare", "truncated", "place/RESULTS.md"): Well("what is there stays"),
    ("compare", "missing", "exp/a_s0/train.jsonl"): Well("what is known of training is left out"),
    ("info network", "wrong dimension", "a.xconfig"): Well("a network may read 14 numbers"),
    ("run", "output = input", "run jobs/q true"): Fails("Is a directory: .*jobs/q", (1,)),
    ("run", "empty", "queue.toml"): Well("every key has a default"),
    ("run status", "missing", "jobs/q/a/batch.json"): Well(OTHERS),
    **{
        ("run status", fault, "jobs/q/a/batch.json"): Well(OTHERS, "batch.json is damaged")
        for fault in ("empty", "garbage", "truncated", "wrong type", "not UTF-8")
    },
    **{
        ("run status", fault, "jobs/q/a/outcome.json"): Well(OTHERS, "outcome.json is damaged")
        for fault in ("empty", "garbage", "truncated", "wrong type", "not UTF-8")
    },
    ("run status", "missing", "jobs/q/a/outcome.json"): Well("it was killed"),
    **{
        ("info experiment", fault, "exp/a_s0/receipt.json"): Well(ITS_OWN)
        for fault in ("missing", "empty", "garbage", "truncated", "wrong type", "not UTF-8")
    },
}

# Path parameters that no line of the table gives, and why.
NO_PATH: dict[tuple[str, str], str] = {}
