"""Every command: a line that goes well, the files that it reads, and where it writes.

Of a command that has several ways to be called there is a line for each, told apart by a name
behind the command's own, as in "train images".
"""

from __future__ import annotations

from tests.faults.command import NOTHING, READS, Command
from tests.faults.set_commands import COMMANDS as SET_COMMANDS
from tests.faults.set_commands import WAV, a_set


def _features(name: str) -> dict[str, str]:
    return {
        name: "directory", f"{name}/cuts.jsonl.gz": "feature cuts", f"{name}/means.npz": "means",
        f"{name}/features.toml": "features.toml", f"{name}/feats/feats.h5": "store",
    }  # fmt: skip


def _lang(name: str = "lang") -> dict[str, str]:
    return {
        name: "directory", f"{name}/words.txt": "words.txt", f"{name}/phones.txt": "phones.txt",
        f"{name}/lexicon.txt": "lang lexicon",
    }  # fmt: skip


GRAPH = {"lang/L_disambig.fst": "fst", "lang/G.fst": "fst"}
MODEL = {
    "exp/a_s0": "directory", "exp/a_s0/final.pt": "checkpoint", "exp/a_s0/config.toml": "config",
}  # fmt: skip
MODELS_LANG = {"exp/a_s0/den.npz": "den", "exp/a_s0/phones.txt": "phones.txt"}
INPUTS = {"exp/a_s0/inputs.toml": "inputs.toml"}
FEATURES = {"exp/a_s0/features.toml": "features.toml"}
CPU = "--device cpu --num-threads 1"

COMMANDS = {
    **SET_COMMANDS,
    "features": Command(
        "features mfcc.toml --data train --prior dev_hires --out place/new",
        {"mfcc.toml": "features.toml", **a_set("train"), **WAV, "dev_hires/means.npz": "means",
         "dev_hires": "directory"},
        "place",
        ["features mfcc.toml --data train --out train --overwrite",
         "features mfcc.toml --data train --out . --overwrite",
         "features mfcc.toml --data train --out train/new",
         "features mfcc.toml --data train --out wav --overwrite",
         "features mfcc.toml --data train --prior dev_hires --out dev_hires --overwrite",
         "features mfcc.toml --data train --out mfcc.toml --overwrite"],
        needs="wav",
    ),
    "ivectors train": Command(
        "ivectors train ivector.toml --data dev_hires --out place/new",
        {"ivector.toml": "ivector.toml", **_features("dev_hires")},
        "place",
        ["ivectors train ivector.toml --data dev_hires --out dev_hires --overwrite",
         "ivectors train ivector.toml --data dev_hires --out . --overwrite",
         "ivectors train ivector.toml --data dev_hires --out ivector.toml --overwrite"],
    ),
    "ivectors extract": Command(
        "ivectors extract ivector --data dev_hires --out place/new.h5",
        {"ivector": "directory", "ivector/ivector.pt": "ivector model",
         "ivector/features.toml": "features.toml", **_features("dev_hires")},
        "place",
        ["ivectors extract ivector --data dev_hires --out ivector/ivector.pt --overwrite",
         "ivectors extract ivector --data dev_hires --out dev_hires/means.npz --overwrite",
         "ivectors extract ivector --data dev_hires --out dev_hires/feats/feats.h5 --overwrite"],
    ),
    "lm train": Command(
        "lm train text.txt dev --vocab lexicon --out place/new.arpa",
        {"text.txt": "text", **a_set("dev"), "lexicon": "vocabulary"},
        "place",
        ["lm train text.txt --out text.txt --overwrite",
         "lm train text.txt --vocab lexicon --out lexicon --overwrite",
         "lm train dev --out dev/cuts.jsonl.gz --overwrite"],
    ),
    "lm mix": Command(
        "lm mix arpa arpa.gz --heldout text.txt --out place/new.arpa.gz",
        {"arpa": "arpa", "arpa.gz": "zipped arpa", "text.txt": "text"},
        "place",
        ["lm mix arpa arpa.gz --heldout text.txt --overwrite --out text.txt",
         "lm mix arpa arpa.gz --weight 0.5 --weight 0.5 --overwrite --out arpa"],
    ),
    "lm prune": Command(
        "lm prune arpa --threshold 0.1 --out place/new.arpa", {"arpa": "arpa"}, "place",
        ["lm prune arpa --ngrams 9 --out arpa --overwrite"],
    ),
    "lm limit": Command(
        "lm limit arpa --vocab lexicon --out place/new.arpa",
        {"arpa": "arpa", "lexicon": "vocabulary"}, "place",
        ["lm limit arpa --vocab lexicon --out lexicon --overwrite"],
    ),
    "lm perplexity": Command(
        "lm perplexity arpa text.txt", {"arpa": "arpa", "text.txt": "text"}, NOTHING, READS,
    ),
    "lang": Command(
        "lang lexicon --extra-lexicon extra --text text.txt --words-from dev --out place/new",
        {"lexicon": "lexicon", "extra": "lexicon", "text.txt": "text", **a_set("dev")},
        "place",
        ["lang lexicon --text text.txt --out lexicon --overwrite",
         "lang lexicon --text text.txt --out text.txt --overwrite",
         "lang lexicon --text dev --out dev --overwrite",
         "lang lexicon --grammar uniform --out . --overwrite"],
    ),
    "lang lm": Command(
        "lang lexicon --lm arpa --out place/new",
        {"arpa": "arpa"},
        "place", ["lang lexicon --lm arpa --out arpa --overwrite"], needs="lexicon",
    ),
    "lang dict": Command(
        "lang dict --oov unk --lm arpa --out place/new",
        {"dict": "directory", "dict/silence_phones.txt": "phone list",
         "dict/optional_silence.txt": "optional silence",
         "dict/nonsilence_phones.txt": "phone list", "dict/silprob.txt": "silprob",
         "dict/lexiconp_silprob.txt": "lexicon with probabilities"},
        "place", ["lang dict --oov unk --lm arpa --out dict --overwrite"], needs="arpa",
    ),
    "lang-probs": Command(
        "lang-probs ali_dev --lang lang --out place/new",
        {"ali_dev": "directory", "ali_dev/ali.gz": "ali", "ali_dev/ctm": "ctm", **_lang()},
        "place",
        [f"lang-probs ali_dev --lang lang --overwrite --out {out}"
         for out in ("ali_dev", "lang", ".")],
    ),
    "tree": Command(
        "tree --data train_hires --ali ali --lang lang --leaves 6 --out place/new",
        {**_features("train_hires"), "ali": "directory", "ali/ali.gz": "ali", **_lang()},
        "place",
        ["tree --data train_hires --ali ali --lang lang --leaves 6 --overwrite --out train_hires",
         "tree --data train_hires --ali ali --lang lang --leaves 6 --overwrite --out ali",
         "tree --data train_hires --ali ali --lang lang --leaves 6 --overwrite --out lang",
         "tree --data train_hires --ali ali --lang lang --leaves 6 --overwrite --out ."],
    ),
    "den-graph": Command(
        "den-graph train.toml --data train --tree tree --lang lang --out place/new.npz"
        " --text place/new.txt",
        {"train.toml": "train.toml", **a_set("train"), "tree": "directory", "tree/tree.npz": "tree",
         **_lang()},
        "place",
        ["den-graph train.toml --data train --lang lang --overwrite --out train.toml",
         "den-graph train.toml --data train --lang lang --overwrite --out lang/words.txt",
         "den-graph train.toml --data train --lang lang --overwrite --out train/cuts.jsonl.gz",
         "den-graph train.toml --data train --lang lang --overwrite --out new.npz --text new.npz",
         "den-graph train.toml --data train --lang lang --overwrite --out new --text train.toml",
         "den-graph train.toml --data train --lang lang --tree tree --overwrite"
         " --out tree/tree.npz"],
    ),
    "den-graph ali": Command(
        "den-graph train.toml --ali ali --lang lang --out place/new.npz",
        {"ali": "directory", "ali/ali.gz": "ali"},
        "place",
        ["den-graph train.toml --ali ali --lang lang --overwrite --out ali/ali.gz"],
        needs="train.toml lang",
    ),
    "train": Command(
        "train train.toml --data train_hires --valid dev_hires --lang lang --den den.npz"
        f" --out place/new_s0 --set training.passes=1 --nj 1 {CPU}",
        {"train.toml": "train.toml", **_features("train_hires"),
         "train_hires/index.bin": "index", "dev_hires": "directory",
         "dev_hires/cuts.jsonl.gz": "feature cuts", **_lang(), "den.npz": "den"},
        "place",
        [f"train train.toml --data train_hires --valid dev_hires --lang lang --den den.npz {CPU}"
         f" --nj 1 --set training.passes=1 --overwrite --out {out}"
         for out in ("train_hires", "dev_hires", "lang", "den.npz", "train.toml", ".")],
    ),
    "train ali": Command(
        "train train.toml --data train_hires --valid dev_hires --lang lang --den den.npz"
        f" --ali ali --valid-ali ali_dev --out place/new_s0 --set training.passes=1 --nj 1 {CPU}",
        {"ali": "directory", "ali/ali.gz": "ali", "ali_dev/ali.gz": "ali"},
        "place",
        ["train train.toml --data train_hires --valid dev_hires --lang lang --den den.npz"
         f" --ali ali --valid-ali ali_dev {CPU} --nj 1 --overwrite --out ali"],
        needs="train.toml train_hires dev_hires lang den.npz ali_dev",
    ),
    "train ali-lattice": Command(
        "train train.toml --data dev_hires --valid dev_hires --lang lang --den den.npz"
        f" --ali-lattice ali_dev --out place/new_s0 --set training.passes=1 --nj 1 {CPU}",
        {"ali_dev": "directory", "ali_dev/lattices.gz": "phone lattices"},
        "place",
        ["train train.toml --data dev_hires --valid dev_hires --lang lang --den den.npz"
         f" --ali-lattice ali_dev {CPU} --nj 1 --overwrite --out ali_dev"],
        needs="train.toml dev_hires lang den.npz",
    ),
    "train ivectors": Command(
        "train v.toml --data train_hires --valid dev_hires --lang lang --den den.npz"
        f" --out place/new_s0 --set training.passes=1 --nj 1 {CPU}",
        {"train_hires/ivectors.h5": "ivectors", "dev_hires/ivectors.h5": "ivectors",
         "v.toml": "train.toml"},
        "place", "as for train", needs="train_hires dev_hires lang den.npz",
    ),
    "train images": Command(
        f"train images/conf.toml --data images/train --valid images/test --out place/new_s0 {CPU}",
        {"images/conf.toml": "images.toml", "images/train": "directory",
         "images/train/images.npy": "images", "images/train/labels.npy": "labels",
         "images/train/classes.txt": "classes", "images/test/images.npy": "images"},
        "place",
        ["train images/conf.toml --data images/train --valid images/test --overwrite --out"
         f" {out} {CPU}" for out in ("images/train", "images/test", "images")],
        needs="images",
    ),
    "train resume": Command(
        "train train.toml --data train_hires --valid dev_hires --lang lang --den den.npz"
        f" --out exp/begun_s0 --resume auto --set training.passes=2 {CPU}",
        {"exp/begun_s0/1.pt": "checkpoint", "exp/begun_s0/config.toml": "config",
         "exp/begun_s0/inputs.toml": "inputs.toml"},
        "exp", "it goes on in what it reads",
        needs="exp/begun_s0",
    ),
    "train-job": Command(
        f"train-job exp/jobs_s0 --iteration 0 --job 1 {CPU}",
        {"exp/jobs_s0": "directory", "exp/jobs_s0/0.pt": "checkpoint",
         "exp/jobs_s0/config.toml": "config", "exp/jobs_s0/inputs.toml": "inputs.toml",
         "exp/jobs_s0/den.npz": "den",
         "train_hires/cuts.jsonl.gz": "feature cuts"},
        "exp", "it writes beside what it reads",
        needs="train_hires dev_hires lang den.npz",
        stays="exp/jobs_s0/jobs$",
    ),
    "combine": Command(
        f"combine exp/a_s0 --overwrite {CPU}",
        {"exp/a_s0": "directory", "exp/a_s0/1.pt": "checkpoint", "exp/a_s0/config.toml": "config",
         "exp/a_s0/inputs.toml": "inputs.toml", "exp/a_s0/den.npz": "den",
         "dev_hires/cuts.jsonl.gz": "feature cuts"},
        "exp", "it writes beside what it reads",
        needs="train_hires dev_hires lang den.npz",
    ),
    "classify": Command(
        f"classify exp/i_s0 --data images/test --out place/new {CPU}",
        {"exp/i_s0": "directory", "exp/i_s0/final.pt": "checkpoint",
         "exp/i_s0/config.toml": "images config", "exp/i_s0/classes.txt": "classes",
         "images/test": "directory", "images/test/images.npy": "images",
         "images/test/labels.npy": "labels", "images/test/classes.txt": "classes"},
        "place",
        [f"classify exp/i_s0 --data images/test --overwrite --out {out} {CPU}"
         for out in ("images/test", "exp/i_s0", "images", ".")],
    ),
    "align": Command(
        "align exp/a_s0 --data dev_hires --lang lang --max-dropped 1 --out place/new",
        {**MODEL, **MODELS_LANG, **_features("dev_hires"), **_lang()},
        "place",
        [f"align exp/a_s0 --data dev_hires --lang lang --max-dropped 1 --overwrite --out {out}"
         for out in ("dev_hires", "lang", "exp/a_s0", ".")],
    ),
    "align wavs": Command(
        "align exp/a_s0 wav/s0/0.wav wav/s0/1.wav --max-dropped 1 --lattices --out place/new",
        {**WAV, "wav/s0/0.txt": "txt", **INPUTS, **FEATURES},
        "place",
        [f"align exp/a_s0 wav/s0/0.wav --max-dropped 1 --overwrite --out {out}"
         for out in ("wav/s0", "wav/s0/0.wav", "wav")],
        needs="exp/a_s0 lang wav train_hires",
    ),
    "decode": Command(
        "decode exp/a_s0 --data dev_hires --lang lang --choice exp/a_s0/decode_dev/choice.toml"
        " --nj 1 --out place/new",
        {**MODEL, **MODELS_LANG, **_features("dev_hires"), **_lang(), **GRAPH,
         "exp/a_s0/decode_dev/choice.toml": "choice.toml"},
        "place",
        [f"decode exp/a_s0 --data dev_hires --lang lang --nj 1 --overwrite --out {out}"
         for out in ("dev_hires", "lang", "exp/a_s0", ".")],
    ),
    "cleanup decode": Command(
        "cleanup decode exp/a_s0 --data dev_hires --lang lang --nj 1 --out place/new",
        {**MODEL, **MODELS_LANG, **_features("dev_hires"), **_lang(),
         "lang/L_disambig.fst": "fst"},
        "place",
        [f"cleanup decode exp/a_s0 --data dev_hires --lang lang --nj 1 --overwrite --out {out}"
         for out in ("dev_hires", "lang", "exp/a_s0", ".")],
    ),
    "cleanup cut": Command(
        "cleanup cut edits --data dev --lang lang --unknown hush --non-scored non_scored"
        " --limits limits.toml --out place/new",
        {"edits": "directory", "edits/ctm_edits": "edits", **a_set("dev"), **_lang(),
         "non_scored": "non-scored", "limits.toml": "limits.toml"},
        "place",
        [f"cleanup cut edits --data dev --lang lang --unknown hush --overwrite --out {out}"
         for out in ("dev", "edits", "lang", ".")],
        needs="lang",
    ),
    "rescore": Command(
        "rescore exp/a_s0/decode_lattices --lang lang --arpa arpa"
        " --choice exp/a_s0/decode_dev/choice.toml --out place/new",
        {"exp/a_s0/decode_lattices": "directory", "exp/a_s0/decode_lattices/ref": "ref",
         "exp/a_s0/decode_lattices/utt2spk": "utt2spk",
         "exp/a_s0/decode_lattices/lattices/lat.1.gz": "lattices",
         "exp/a_s0/decode_lattices/lattices/lattices.toml": "lattices.toml",
         "exp/a_s0/decode_lattices/lattices/leaves.npz": "leaves",
         **_lang(), "lang/G.fst": "fst", "arpa": "arpa",
         "exp/a_s0/decode_dev/choice.toml": "choice.toml"},
        "place",
        ["rescore exp/a_s0/decode_lattices --lang lang --overwrite --out"
         f" {out}" for out in ("exp/a_s0/decode_lattices", "lang", "exp/a_s0", ".")],
        needs="exp/a_s0",
    ),
    "transcribe": Command(
        "transcribe exp/a_s0 wav/s0/0.wav --lang lang --choice exp/a_s0/decode_dev/choice.toml",
        {**MODEL, **MODELS_LANG, **INPUTS, **FEATURES, **WAV, **_lang(), **GRAPH,
         "exp/a_s0/graph_lang_*/HLG.fst": "fst",
         "exp/a_s0/decode_dev/choice.toml": "choice.toml"},
        NOTHING, READS, needs="train_hires",
    ),
    "score": Command(
        "score exp/a_s0/decode_dev --choice exp/a_s0/decode_dev/choice.toml",
        {"exp/a_s0/decode_dev": "directory", "exp/a_s0/decode_dev/ref": "ref",
         "exp/a_s0/decode_dev/hyp_10_0.0": "hyp", "exp/a_s0/decode_dev/utt2spk": "utt2spk",
         "exp/a_s0/decode_dev/choice.toml": "choice.toml"},
        "exp", "it writes beside what it reads", needs="exp/a_s0",
    ),
    "score classes": Command(
        "score exp/i_s0/decode_test",
        {"exp/i_s0/decode_test/ref": "ref", "exp/i_s0/decode_test/hyp": "hyp",
         "exp/i_s0/decode_test/classes.txt": "classes"},
        "exp", "it writes beside what it reads", needs="exp/i_s0",
    ),
    "score nist": Command(
        "score exp/a_s0/decode_dev --nist --stm stm --glm glm --data dev --reco2file reco2file"
        " --acronyms acronyms --rule ted",
        {"exp/a_s0/decode_dev/ctm": "decoded ctm", "stm": "stm", "glm": "glm", **a_set("dev"),
         "reco2file": "reco2file", "acronyms": "acronyms"},
        "exp", "it writes beside what it reads", needs="exp/a_s0 bin",
    ),
    "score-ali": Command(
        "score-ali ctm ali_dev",
        {"ctm": "ctm", "ali_dev": "directory", "ali_dev/ctm": "ctm"},
        NOTHING, READS,
    ),
    "score-ali set": Command(
        "score-ali segments ali_dev", {**a_set("segments")}, NOTHING, READS, needs="ali_dev",
    ),
    "compare": Command(
        "compare exp/a_s0 --markdown place/RESULTS.md",
        {"exp/a_s0": "directory", "exp/a_s0/decode_dev/ref": "ref",
         "exp/a_s0/decode_dev/hyp": "hyp", "exp/a_s0/train.jsonl": "train.jsonl",
         "place/RESULTS.md": "markdown"},
        "place",
        ["compare exp/a_s0 --markdown exp/a_s0/train.jsonl",
         "compare exp/a_s0 --markdown exp/a_s0/decode_dev/ref", "compare exp/a_s0 --markdown exp"],
        stays="place/results$",
    ),
    "plot": Command(
        "plot exp/a_s0 --out place/new.png",
        {"exp/a_s0": "directory", "exp/a_s0/train.jsonl": "train.jsonl"},
        "place",
        ["plot exp/a_s0 --out exp/a_s0/train.jsonl", "plot exp/a_s0 --out exp/a_s0"],
    ),
    "plot speakers": Command(
        "plot exp/a_s0/decode_dev --out place/new.png",
        {"exp/a_s0/decode_dev": "directory", "exp/a_s0/decode_dev/ref": "ref",
         "exp/a_s0/decode_dev/hyp": "hyp", "exp/a_s0/decode_dev/utt2spk": "utt2spk"},
        "place", ["plot exp/a_s0/decode_dev --out exp/a_s0/decode_dev/ref"], needs="exp/a_s0",
    ),
    "plot confusions": Command(
        "plot exp/i_s0/decode_test --out place/new.png",
        {"exp/i_s0/decode_test/hyp": "hyp", "exp/i_s0/decode_test/ref": "ref",
         "exp/i_s0/decode_test/classes.txt": "classes"},
        "place", ["plot exp/i_s0/decode_test --out exp/i_s0/decode_test/ref"], needs="exp/i_s0",
    ),
    "export": Command(
        "export exp/a_s0 --data dev_hires --out place/new.pt",
        {**MODEL, **FEATURES, **_features("dev_hires")},
        "place",
        ["export exp/a_s0 --overwrite --out exp/a_s0/final.pt",
         "export exp/a_s0 --overwrite --out exp/a_s0",
         "export exp/a_s0 --data dev_hires --overwrite --out dev_hires/means.npz"],
    ),
    "run": Command(
        "run --config queue.toml place/log/a.log true",
        {"queue.toml": "queue.toml"},
        "place", ["run --config queue.toml queue.toml true", "run jobs/q true"], needs="jobs",
        stays="place/(q|log)$",
    ),
    "run status": Command(
        "run --status jobs",
        {"jobs": "directory", "jobs/q/a/batch.json": "record", "jobs/q/a/outcome.json": "outcome"},
        NOTHING, READS,
    ),
    "doctor": Command("doctor", {}, NOTHING, READS),
    "info": Command(
        "info train", {**a_set("train")}, NOTHING, READS,
    ),
    "info lang": Command(
        "info lang", {**_lang(), "lang/silence_phones.txt": "phone list"}, NOTHING, READS,
    ),
    "info experiment": Command(
        "info exp/a_s0",
        {"exp/a_s0": "directory", "exp/a_s0/config.toml": "config", "exp/a_s0/receipt.json":
         "receipt", "exp/a_s0/train.jsonl": "train.jsonl", "exp/a_s0/den.npz": "den"},
        NOTHING, READS, needs="exp/a_s0",
    ),
    "info network": Command(
        "info a.xconfig --num-pdfs 8", {"a.xconfig": "network.xconfig"}, NOTHING, READS,
    ),
}  # fmt: skip
