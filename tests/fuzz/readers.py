"""Every reader of a file that somebody else may have written: the file, and how it is read.

A function of this table is called in a process of its own with the path of a file that is damaged
or not; it reads it as a command would, with whatever belongs to it in the same directory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chainstitch.nnet import infer
from chainstitch.nnet.chain import DenominatorGraph, forward_backward
from chainstitch.nnet.chain.graph_file import open_graphs
from chainstitch.nnet.ivector.model import IvectorModel
from chainstitch.nnet.nets import Network
from chainstitch.nnet.tasks import run
from chainstitch.nnet.tasks.speech_data import load_leaves
from chainstitch.utils import checkpoint
from chainstitch.utils import config as configs
from chainstitch.utils.corpora import (
    ami,
    ami_dict,
    ami_xml,
    cifar,
    fisher,
    folder,
    kaldi_dir,
    mnist,
    tedlium,
)
from chainstitch.utils.data.alignments import read_alignments
from chainstitch.utils.data.features import FeatureConfig, FeatureReader
from chainstitch.utils.data.images import read_images
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.data.lattice_file import LatticeFile
from chainstitch.utils.data.manifests import cut_speaker, cut_text, read_cuts
from chainstitch.utils.data.pseudo_speakers import split_speakers
from chainstitch.utils.data.segment_times import extend_set
from chainstitch.utils.data.sentences import read_sentences
from chainstitch.utils.data.short_utterances import combine_short
from chainstitch.utils.data.validate import check_set, without_problems
from chainstitch.utils.data.waveform import read_features
from chainstitch.utils.decode.clean_segments import Cleaner, Limits
from chainstitch.utils.decode.cleaned_set import clean
from chainstitch.utils.decode.graph import load_graph
from chainstitch.utils.hmm.tree import Tree
from chainstitch.utils.lang import lexicon, ngram
from chainstitch.utils.lang.aligned_words import aligned_words
from chainstitch.utils.lang.dictionary import read_dictionary
from chainstitch.utils.lang.directory import read_lang, read_table, write_lang
from chainstitch.utils.lang.estimation import Counts, estimate
from chainstitch.utils.lm import training
from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.queue import site, status
from chainstitch.utils.report import summary
from chainstitch.utils.score.boundaries import ctm_words, segment_words
from chainstitch.utils.score.classes import score_classified
from chainstitch.utils.score.ctm import read_acronyms, read_ctm
from chainstitch.utils.score.experiment import read_experiment
from chainstitch.utils.score.receipts import read_receipt
from chainstitch.utils.score.reference import check_glm, check_stm
from chainstitch.utils.score.results import replaced
from chainstitch.utils.score.sweep import read_choice, score_directory
from chainstitch.utils.score.train_log import read_train_log


@dataclass(frozen=True)
class Reader:
    """A file of the good world, and a function of its path.

    Attributes:
        needs: what else of the world is beside it.
        allowed: errors that it may raise besides UserError: those of the Python API.
        slow: it starts another process; a tenth of the files is tried.
    """

    file: str
    read: Callable[[Path], Any]
    needs: str = ""
    allowed: tuple[type[Exception], ...] = ()
    slow: bool = False


def up(path: Path, to: str) -> Path:
    """The part of the world called `to` that is beside what `path` lies in."""
    while not (path / to).exists():
        path = path.parent
    return path / to


def training_config(path: Path) -> None:
    run.load_config(path)


def cleaned(path: Path) -> None:
    for _, segments in clean(path, Cleaner({"hiss"}, "hush", Limits())):
        for segment in segments:
            assert segment.words("hush") and segment.length >= 0.0


def feature_config(path: Path) -> None:
    configs.load(path, FeatureConfig)


def xconfig(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    Network(text, 8, 3)


def cuts(path: Path) -> None:
    for cut in read_cuts(path.parent):
        cut_text(cut)
        cut_speaker(cut)


def a_set(path: Path) -> None:
    report = check_set(path.parent, None)
    report.lines()
    without_problems(report)


def operation(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        split_speakers(path.parent, Path(out, "set"), 1.0)
        combine_short(path.parent, Path(out, "long"), 1.0)
        extend_set(path.parent, Path(out, "pad"), 0.1, 0.1, 0.1)


def words_of_cuts(path: Path) -> None:
    segment_words(read_cuts(path.parent))


def kaldi(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        kaldi_dir.prepare(path.parent, Path(out, "set"))


def transcript(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        folder.prepare(path.parent, Path(out, "set"))


def recording(path: Path) -> None:
    read_features(path, FeatureConfig(sampling_rate=8000, num_mel_bins=20, num_ceps=13))


def validated(path: Path) -> None:
    check_set(up(path, "dev"), None)


def grammar(path: Path) -> None:
    words = up(path, "lang") / "words.txt"
    ngram.from_arpa(path)(words, read_table(words))


def language_model(path: Path) -> None:
    read_model(path)


def text_of_language_model(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        training.train([path], Path(out, "arpa"), 2)


def language(path: Path) -> None:
    entries = lexicon.read_lexicon(path)
    with tempfile.TemporaryDirectory() as out:
        write_lang(Path(out, "lang"), entries, ngram.from_words())


def dictionary(path: Path) -> None:
    read_dictionary(path.parent)


def probabilities(path: Path) -> None:
    language = read_lang(up(path, "lang"))
    counts = Counts()
    for utterance in aligned_words(path.parent, language):
        counts.add(utterance)
    estimate(language.lexicon, counts)


def lang(path: Path) -> None:
    found = read_lang(path.parent)
    found.fst("L.fst")
    found.fst("L_disambig.fst")
    found.fst("G.fst")


def decoding_graph(path: Path) -> None:
    exp = up(path, "exp") / "a_s0"
    for graph in exp.glob("graph_*"):
        shutil.rmtree(graph)
    assert load_graph(exp, up(path, "lang"), load_leaves(exp)).hlg is not None


def made_graph(path: Path) -> None:
    exp = up(path, "exp") / "a_s0"
    assert load_graph(exp, up(path, "lang"), load_leaves(exp)).hlg is not None


def _through(graph: DenominatorGraph) -> None:
    if graph.num_pdfs <= 1000:
        log_likes = torch.zeros(1, 4, graph.num_pdfs)
        forward_backward(graph, log_likes, torch.tensor([4]), 0.1, "cpu")


def denominator(path: Path) -> None:
    _through(DenominatorGraph.load(path))


def fst(path: Path) -> None:
    _through(DenominatorGraph.read_fst(path))


def alignments(path: Path) -> None:
    list(read_alignments(path, read_lang(up(path, "lang")).phones).items())


def phone_lattices(path: Path) -> None:
    list(LatticeFile(path, read_lang(up(path, "lang")).phones).values())


def tree(path: Path) -> None:
    Tree.load(path).leaves()


def features(path: Path) -> None:
    directory = up(path, "feats").parent
    reader = FeatureReader(directory)
    for number in range(min(len(reader), 3)):
        reader.load(number)


def causal_features(path: Path) -> None:
    reader = FeatureReader(up(path, "feats").parent, "causal")
    for number in range(min(len(reader), 3)):
        reader.load(number)


def ivectors(path: Path) -> None:
    reader = IvectorReader(path)
    reader.model()
    ids = [cut.id for cut in read_cuts(path.parent)]
    reader.check(ids)
    reader.load(ids[0])
    reader.load(ids[0], 20)


def extractor(path: Path) -> None:
    IvectorModel.load(path.parent)


def state(path: Path) -> None:
    checkpoint.load(path)


def model(path: Path) -> None:
    network = infer.load_model(up(path, "final.pt").parent)
    infer.log_likes(network, [torch.zeros(30, 13).numpy()], None)


def image_model(path: Path) -> None:
    run.load(path.parent, "images")


def inputs(path: Path) -> None:
    run.inputs_of(path.parent)


def experiment(path: Path) -> None:
    summary.lines(summary.summarise(path.parent))
    read_receipt(path.parent)


def compared(path: Path) -> None:
    read_experiment(up(path, "train.jsonl").parent)


def markdown(path: Path) -> None:
    replaced(path, "Comparison", "## Comparison\n")


def jobs(path: Path) -> None:
    list(status.table(status.find(path.parents[2])))


def archive(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        name = "cifar100" if path.name in ("train", "meta") else "cifar10"
        cifar.prepare(path.parent, Path(out), name, unofficial=True)


def idx_files(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        mnist.prepare(path.parent, Path(out))


def talks(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        tedlium.prepare(up(path, "tedlium"), Path(out), lm_dev_lines=1)


def meetings(path: Path) -> None:
    place = up(path, "annotations")
    agents = ami_xml.read_agents(place)
    for line in ami_xml.segment_lines(
        place, "ES2002a", agents.get("ES2002a", {}), ami_xml.Skipped()
    ):
        ami.split(line)


def calls(path: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        fisher.write_text(up(path, "fisher"), Path(out) / "text", "ami")


def words_of_cmu(path: Path) -> None:
    ami_dict.read_dictionary(path)


def numerators(path: Path) -> None:
    graphs = open_graphs(path)
    if graphs is not None:
        assert len(graphs.sizes) == len(graphs)
        for number in range(min(len(graphs), 30)):
            assert graphs[number] is not Ellipsis


def scored(path: Path) -> None:
    score_directory(path.parent, None, False)


def classified(path: Path) -> None:
    score_classified(path.parent)


def image_set(path: Path) -> None:
    read_images(path.parent)


DECODED, EXP, WORLD = "exp/a_s0/decode_dev", "exp/a_s0", "exp lang dev_hires"
NUMERATORS = "exp/a_s0/numerators/*.bin"

READERS = {
    "train.toml": Reader("train.toml", training_config),
    "images.toml": Reader("images/conf.toml", training_config),
    "features.toml": Reader("mfcc.toml", feature_config),
    "xconfig": Reader("a.xconfig", xconfig, allowed=(ValueError,)),
    "cuts": Reader("dev/cuts.jsonl.gz", cuts),
    "cuts, validated": Reader("dev/cuts.jsonl.gz", a_set, "wav"),
    "cuts, line by line": Reader("dev/cuts.jsonl.gz", operation),
    "cuts of segments": Reader("segments/cuts.jsonl.gz", words_of_cuts),
    "cuts of features": Reader("dev_hires/cuts.jsonl.gz", features),
    "wav.scp": Reader("kaldi/wav.scp", kaldi, "wav"),
    "kaldi text": Reader("kaldi/text", kaldi, "wav"),
    "utt2spk": Reader("kaldi/utt2spk", kaldi, "wav"),
    "segments": Reader("kaldi/segments", kaldi, "wav"),
    "spk2gender": Reader("kaldi/spk2gender", kaldi, "wav"),
    "reco2file_and_channel": Reader("kaldi/reco2file_and_channel", kaldi, "wav"),
    "transcript": Reader("wav/s0/0.txt", transcript),
    "wav": Reader("wav/s0/0.wav", recording),
    "wav, validated": Reader("wav/s2/0.wav", validated, "dev wav"),
    "lexicon": Reader("lexicon", language),
    "lexicon with probabilities": Reader("dict/lexiconp_silprob.txt", dictionary),
    "silprob.txt": Reader("dict/silprob.txt", dictionary),
    "silence_phones.txt": Reader("dict/silence_phones.txt", dictionary),
    "ctm of an alignment": Reader("ali_dev/ctm", probabilities, "lang"),
    "sentences": Reader("text.txt", read_sentences),
    "arpa": Reader("arpa", grammar, "lang", slow=True),
    "arpa.gz": Reader("arpa.gz", grammar, "lang", slow=True),
    "arpa of a model": Reader("arpa", language_model),
    "text of a model": Reader("text.txt", text_of_language_model),
    "words.txt": Reader("lang/words.txt", lang),
    "phones.txt": Reader("lang/phones.txt", lang),
    "lang lexicon": Reader("lang/lexicon.txt", lang),
    "topo": Reader("lang/topo", lang),
    "L.fst": Reader("lang/L_disambig.fst", decoding_graph, WORLD),
    "G.fst": Reader("lang/G.fst", decoding_graph, WORLD),
    "HLG.fst": Reader("exp/a_s0/graph_*/HLG.fst", made_graph, WORLD),
    "den.npz": Reader("den.npz", denominator, allowed=(ValueError,)),
    "den of a run": Reader("exp/a_s0/den.npz", decoding_graph, WORLD),
    "fst text": Reader("den.txt", fst, allowed=(ValueError,)),
    "fst binary": Reader("den.fst", fst, allowed=(ValueError,)),
    "ali.gz": Reader("ali/ali.gz", alignments, "lang"),
    "lattices.gz of phones": Reader("ali_dev/lattices.gz", phone_lattices, "lang"),
    "ctm": Reader("ctm", ctm_words),
    "decoded ctm": Reader(f"{DECODED}/ctm", read_ctm),
    "stm": Reader("stm", check_stm),
    "glm": Reader("glm", check_glm),
    "acronyms": Reader("acronyms", read_acronyms),
    "reco2file": Reader("reco2file", kaldi_dir.read_sides),
    "edits": Reader("edits/ctm_edits", cleaned),
    "tree": Reader("tree/tree.npz", tree),
    "feats.h5": Reader("dev_hires/feats/feats.h5", features),
    "index.bin": Reader("dev_hires/index.bin", features),
    "means.npz": Reader("dev_hires/means.npz", features),
    "means.npz, causal": Reader("dev_hires/means.npz", causal_features),
    "features.toml of a set": Reader("dev_hires/features.toml", features),
    "ivectors.h5": Reader("dev_hires/ivectors.h5", ivectors),
    "ivector.pt": Reader("ivector/ivector.pt", extractor),
    "checkpoint": Reader("exp/a_s0/1.pt", state),
    "final.pt": Reader("exp/a_s0/final.pt", model),
    "final.pt of images": Reader("exp/i_s0/final.pt", image_model),
    "config.toml": Reader("exp/a_s0/config.toml", model),
    "inputs.toml": Reader("exp/a_s0/inputs.toml", inputs),
    "receipt.json": Reader("exp/a_s0/receipt.json", experiment),
    "train.jsonl": Reader("exp/a_s0/train.jsonl", read_train_log),
    "train.jsonl, summed up": Reader("exp/a_s0/train.jsonl", experiment),
    "choice.toml": Reader(f"{DECODED}/choice.toml", read_choice),
    "choice.toml, compared": Reader(f"{DECODED}/choice.toml", compared),
    "ref": Reader(f"{DECODED}/ref", scored),
    "hyp": Reader(f"{DECODED}/hyp_10_0.0", scored),
    "utt2spk of a score": Reader(f"{DECODED}/utt2spk", scored),
    "classes": Reader("exp/i_s0/decode_test/classes.txt", classified),
    "hyp of images": Reader("exp/i_s0/decode_test/hyp", classified),
    "RESULTS.md": Reader("place/RESULTS.md", markdown),
    "images.npy": Reader("images/test/images.npy", image_set),
    "labels.npy": Reader("images/test/labels.npy", image_set),
    "classes of images": Reader("images/test/classes.txt", image_set),
    "queue.toml": Reader("queue.toml", site.load),
    "batch.json": Reader("jobs/q/a/batch.json", jobs),
    "outcome.json": Reader("jobs/q/a/outcome.json", jobs),
    "cifar10": Reader("cifar10/data_batch_1", archive),
    "cifar100": Reader("cifar100/train", archive),
    "mnist images": Reader("mnist/train-images-idx3-ubyte.gz", idx_files),
    "mnist labels": Reader("mnist/train-labels-idx1-ubyte.gz", idx_files),
    "TED-LIUM's stm": Reader("tedlium/train/stm/T_2001.stm", talks),
    "sph": Reader("tedlium/train/sph/T_2001.sph", talks),
    "TED-LIUM's dictionary": Reader("tedlium/TEDLIUM.152k.dic", talks),
    "TED-LIUM's LM text": Reader("tedlium/LM/a.en.gz", talks),
    "AMI's meetings": Reader("ami/annotations/corpusResources/meetings.xml", meetings),
    "AMI's words": Reader("ami/annotations/words/ES2002a.A.words.xml", meetings),
    "AMI's segments": Reader("ami/annotations/segments/ES2002a.A.segments.xml", meetings),
    "CMU dictionary": Reader("cmudict", words_of_cmu),
    "Fisher": Reader("fisher/data/trans/000/fe_03_00001.txt", calls),
    "names of classes": Reader("cifar10/batches.meta", archive),
    "numerators": Reader(NUMERATORS, numerators),
}
