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

OPTIONAL = "a directory may do without it"
HALF = "half a text is a text"
UNKNOWN = "what is not known is left out"

EXPECTED: dict[tuple[str, str, str], Fails | Well] = {
    **{
        (command, "truncated", file): Well("a part is used, and told", "only that much of it")
        for command, file in (
            ("prepare yesno", "yesno/0_0_0_0_0_0_0_0.wav"),
            ("prepare digits", "digits/recordings/0_george_0.wav"),
            ("prepare kaldi", "wav/s0/0.wav"),
            ("prepare folder", "wav/s0/0.wav"),
            ("prepare tedlium", "tedlium/train/sph/T_2001.sph"),
            ("prepare ami", "ami/ES2002a/audio/ES2002a.Headset-0.wav"),
            ("prepare swbd", "swbd/sw02001.sph"),
            ("prepare eval2000", "hub5/english/en_4156.sph"),
            ("prepare rt03", "rt03/data/audio/eval03/english/cts/sw_45142.sph"),
            ("align wavs", "wav/s0/0.wav"),
            ("transcribe", "wav/s0/0.wav"),
        )
    },
    **{
        ("prepare kaldi", fault, "kaldi/text"): Well(SAID, "have no text")
        for fault in ("empty", "truncated", "wrong dimension")
    },
    **{
        (command, "truncated", file): Well(HALF)
        for command, file in (
            ("prepare eval2000", "hub5text/reference/en20000405_hub5.glm"),
            ("prepare rt03", "rt03/data/references/eval03/english/cts/a.stm"),
            ("prepare rt03", "rt03/data/trans_rules/en20030506.glm"),
            ("lm train", "text.txt"),
            ("lm train", "lexicon"),
            ("lm mix", "text.txt"),
            ("lm limit", "lexicon"),
            ("prepare ami-dict", "wordlist"),
            ("lm perplexity", "text.txt"),
        )
    },
    ("lm train", "wrong type", "dev"): Well("a text is as good as a set"),
    ("prepare kaldi", "missing", "kaldi/utt2spk"): Well(SAID, "has no utt2spk"),
    ("prepare kaldi", "wrong type", "kaldi/utt2spk"): Well(SAID, "has no utt2spk"),
    ("prepare kaldi", "empty", "kaldi/utt2spk"): Well("everybody is a speaker"),
    ("prepare kaldi", "truncated", "kaldi/utt2spk"): Well(SAID, "not in utt2spk"),
    ("prepare kaldi", "missing", "kaldi/segments"): Well("recordings are utterances"),
    ("prepare kaldi", "wrong type", "kaldi/segments"): Well("recordings are utterances"),
    ("prepare kaldi", "empty", "kaldi/segments"): Fails("would hold no utterances"),
    ("prepare kaldi", "truncated", "kaldi/segments"): Well(HALF),
    ("prepare kaldi", "wrong dimension", "wav/s0/0.wav"): Well("reco2file says which channel"),
    **{
        ("prepare kaldi", fault, f"kaldi/{file}"): Well(OPTIONAL)
        for fault in ("missing", "empty", "truncated", "wrong type")
        for file in ("spk2gender", "reco2file_and_channel")
    },
    ("data subset ids", "truncated", "kaldi/utt2spk"): Well("a list may have any ids"),
    ("data subset ids", "wrong dimension", "kaldi/utt2spk"): Fails("would hold no utterances"),
    ("prepare folder", "missing", "wav/s0/0.wav"): Well("there is one fewer"),
    **{
        ("validate", fault, "wav/s0/0.wav"): Fails("1 of 24 utterances have problems")
        for fault in ("missing", "empty", "garbage", "truncated", "wrong type", "wrong dimension")
    },
    ("lang", "wrong type", "dev"): Fails("not in the lexicon: 'a'"),
    ("den-graph ali", "empty", "ali/ali.gz"): Fails("no training sentence"),
    ("den-graph ali", "wrong dimension", "ali/ali.gz"): Well("only which phones there are counts"),
    ("train ivectors", "wrong dimension", "v.toml"): Fails("write input dim=13"),
    ("classify", "wrong dimension", "images/test/images.npy"): Well("images may have any size"),
    **{
        (command, "missing", "exp/a_s0/phones.txt"): Well("then nothing says that it does not fit")
        for command in ("align", "decode", "transcribe")
    },
    **{
        (command, "missing", "exp/a_s0/den.npz"): Well("then there is no tree")
        for command in ("decode", "transcribe")
    },
    ("align wavs", "empty", "wav/s0/0.txt"): Well("it is listed as dropped"),
    ("align wavs", "truncated", "wav/s0/0.txt"): Well(HALF),
    ("score-ali", "empty", "ali_dev/ctm"): Fails("6 are not aligned"),
    ("score-ali", "truncated", "ali_dev/ctm"): Well("it is counted", "are not aligned"),
    **{
        (command, fault, "exp/a_s0/decode_dev/hyp"): Well("what is not there counts as empty")
        for command in ("compare", "plot speakers")
        for fault in ("empty", "truncated")
    },
    ("run status", "empty", "jobs"): Well("there are none"),
    **{
        ("info experiment", fault, file): Well(UNKNOWN)
        for fault, file in (
            ("missing", "exp/a_s0/config.toml"),
            ("missing", "exp/a_s0/train.jsonl"),
            ("missing", "exp/a_s0/den.npz"),
        )
    },
    ("info experiment", "wrong dimension", "exp/a_s0/config.toml"): Well("a network may be wider"),
    ("prepare folder", "missing", "wav/s0/0.txt"): Well(SAID, "wav/s0/0.txt is missing"),
    ("prepare folder", "empty", "wav/s0/0.txt"): Well("it has an empty transcript"),
    ("prepare folder", "truncated", "wav/s0/0.txt"): Well(HALF),
    ("prepare folder", "wrong type", "wav/s0/0.txt"): Well(SAID, "wav/s0/0.txt is missing"),
    ("prepare tedlium", "missing", "tedlium/LM/a.en.gz"): Fails(r"holds no \*\.en\.gz"),
    ("prepare tedlium", "empty", "tedlium/LM/a.en.gz"): Fails(r"hold no text"),
    ("prepare cifar10", "missing", "cifar10/batches.meta"): Well("the ten names are known"),
    ("features", "empty", "mfcc.toml"): Fails("sampling_rate"),
    ("features", "wrong dimension", "mfcc.toml"): Fails("num_ceps"),
    ("lang dict", "missing", "dict/nonsilence_phones.txt"): Well("it is only compared"),
    ("info lang", "missing", "lang/silence_phones.txt"): Well("there was none when SIL was all"),
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
    **{
        ("score", fault, "exp/a_s0/decode_dev/hyp_10_0.0"): Well(EMPTY, "have no hypothesis")
        for fault in ("empty", "truncated")
    },
    ("cleanup cut", "truncated", "edits/ctm_edits"): Well("it is told", "3 of 6 .* are not in"),
    ("cleanup cut", "empty", "non_scored"): Well("then all words are scored"),
    ("cleanup cut", "truncated", "non_scored"): Well(HALF),
    ("cleanup cut", "empty", "limits.toml"): Well("every key has a default"),
    ("score nist", "empty", "exp/a_s0/decode_dev/ctm"): Well("nothing was said", "no words"),
    ("score nist", "truncated", "glm"): Well(HALF),
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
