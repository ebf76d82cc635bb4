#!/usr/bin/env python3
"""Whether two checkouts of this project train the same models, to the last bit.

The toy corpus (tests/toy.py), alignments, i-vectors and a few images are made once, by BEFORE's
commands (with --own-corpus each checkout makes its own). Then both train the same small runs with
the command lines that they have: `train` and `train-image`, or `train` alone, whose config begins
with its task. Everything is on the CPU with one thread a process; the two trainings of a run go on
at the same time.

What is compared is told in run_difference.py.

Exit code 1 if anything differs.

Example: python tests/bench/same_trainings.py ../before . --only flat --only images
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from run_difference import Comparison, compare_runs

# What BEFORE's python makes, with its own tests/toy.py.
MATERIAL = """
import sys
from pathlib import Path

import numpy as np

from chainstitch.utils.data.images import ImageSet, write_images
from tests.toy import align_evenly, build, make_ivectors

place = Path(sys.argv[1])
toy = build(place)
for directory, out in ((toy.train, "ali"), (toy.dev, "dev_ali")):
    align_evenly(toy, directory, place / out)
    make_ivectors(directory, 3, "same")
generator = np.random.default_rng(0)
for name, count in (("images", 64), ("test_images", 24)):
    labels = np.arange(count) % 3
    pixels = generator.integers(0, 120, (count, 32, 32, 3))
    pixels[np.arange(count), :, :, labels] += 100
    write_images(ImageSet(pixels.astype(np.uint8), labels, ["r", "g", "b"]), place / name)
"""

# Dropout, ReLU's self-repair and the semi-orthogonal constraint draw random numbers; backstitch
# rewinds the generator, and natural gradient and batch-norm have a state.
XCONFIG = """
input name=input dim=13
relu-batchnorm-layer name=tdnn1 dim=16 input=Append(-1,0,1) dropout-proportion=0.2 self-repair-scale=1e-2
tdnnf-layer name=f dim=16 bottleneck-dim=6 time-stride=0
relu-renorm-layer name=tdnn2 dim=16 input=Append(-3,0,3)
output-layer name=output
"""  # noqa: E501
XENT = XCONFIG.replace("output-layer", "output-layer name=output-xent input=tdnn2\noutput-layer")
LSTM = XCONFIG.replace(
    "output-layer", "fast-lstmp-layer name=lstm1 cell-dim=8 delay=-3 decay-time=20\noutput-layer"
)
# an LDA-like first layer, over features and i-vector
LDA = XCONFIG.replace("input name=input", "input name=ivector dim=3\ninput name=input").replace(
    "relu-batchnorm-layer name=tdnn1 dim=16 input=Append(-1,0,1)",
    "fixed-affine-layer name=lda input=Append(-1,0,1,ReplaceIndex(ivector,t,0))\n"
    "relu-batchnorm-layer name=tdnn1 dim=16",
)
IVECTOR = LDA.replace("fixed-affine-layer name=lda", "relu-renorm-layer name=lda dim=20")
SPEECH = """[network]
xconfig = \"\"\"{xconfig}\"\"\"
[optim]
initial_lr = 5e-3
final_lr = 1e-3
[optim.backstitch]
scale = 1.0
interval = 2
slow_start = 2
[training]
passes = 10
minibatch_size = 3
frames_per_iteration = 4500
"""
IMAGES = """[network]
filters = [4, 4, 8]
bottleneck = 4
[optim]
initial_lr = 2e-2
final_lr = 5e-3
proportional_shrink = 1.0
[optim.backstitch]
scale = 0.5
interval = 1
slow_start = 2
[training]
passes = 4
minibatch_size = 16
images_per_iteration = 32
train_measured = 32
"""
NO_BACKSTITCH = "optim.backstitch.scale=0.0"
CHUNKS = ("training.chunk_widths=40,25", "training.left_context=9")


@dataclass(frozen=True)
class Run:
    """A training: network, what its config has otherwise (`--set`), with alignments or not."""

    xconfig: str = XCONFIG
    sets: tuple[str, ...] = ()
    aligned: bool = False
    processes: int = 1
    images: bool = False


RUNS = {
    "flat": Run(sets=("training.dropout_schedule=0,0.3@0.5,0",)),
    "plain": Run(sets=(NO_BACKSTITCH, "optim.natural_gradient=false")),
    "momentum": Run(sets=(NO_BACKSTITCH, "optim.momentum=0.5")),
    "chunks": Run(XENT, ("chain.xent_regularize=0.1", *CHUNKS), aligned=True),
    "cross_entropy": Run(sets=("training.criterion=cross_entropy", *CHUNKS), aligned=True),
    "ivectors": Run(IVECTOR),
    "lda": Run(LDA, CHUNKS, aligned=True),
    "lstm": Run(
        LSTM,
        ("optim.shrink=0.98", "optim.proportional_shrink=5.0", *CHUNKS,
         "training.deriv_truncate_margin=8"),
        aligned=True,
    ),
    "minibatch_rule": Run(sets=("training.minibatch_rule=70=1:4/120=1:2",)),
    "accumulate": Run(sets=("training.accumulate=2",)),
    "jobs": Run(sets=("training.jobs_initial=1", "training.jobs_final=2")),
    "processes": Run(processes=2),
    "images": Run(images=True),
}  # fmt: skip


@dataclass(frozen=True)
class Checkout:
    """A checkout with its python, and where it finds what it trains on and writes its runs."""

    root: Path
    python: Path
    corpus: Path
    place: Path

    @property
    def one_command(self) -> bool:
        """Whether `train` trains on images, too, and is told the task by its config."""
        return not (self.root / "bin" / "train_image.py").exists()

    def start(self, *arguments: object, log: Path) -> subprocess.Popen[bytes]:
        """A `chainstitch` command; what it says goes to `log`."""
        with log.open("ab") as stream:
            return subprocess.Popen(
                [self.python, "-m", "chainstitch.bin.main", *map(str, arguments)],
                cwd=self.place, stdout=stream, stderr=stream, env=environment(),
            )  # fmt: skip

    def train(self, name: str, run: Run) -> subprocess.Popen[bytes]:
        """Starts a run."""
        task, text = ("images", IMAGES) if run.images else ("speech", SPEECH)
        conf = self.place / f"{name}.toml"
        first = f'task = "{task}"\n' if self.one_command else ""
        conf.write_text(first + text.format(xconfig=run.xconfig))
        arguments: list[object] = [
            "train-image" if run.images and not self.one_command else "train", conf,
            "--out", self.place / name, "--device", "cpu", "--num-threads", "1",
        ]  # fmt: skip
        if run.images:
            arguments += self._options(data="images", valid="test_images")
        else:
            arguments += self._options(
                data="train_hires", valid="dev_hires", lang="lang", den="den.npz"
            )
        if run.aligned:
            arguments += self._options(ali="ali", valid_ali="dev_ali")
        if any("jobs_final" in each for each in run.sets):
            arguments += ["--jobs-cmd", f"{self.python} -m chainstitch.bin.main run"]
        if run.processes > 1:
            arguments += ["--processes", run.processes]
        for each in run.sets:
            arguments += ["--set", each]
        return self.start(*arguments, log=self.log(name))

    def combine(self, name: str) -> subprocess.Popen[bytes]:
        """Starts the combination of a run that has been trained."""
        return self.start(
            "combine", self.place / name, "--device", "cpu", "--num-threads", 1, log=self.log(name)
        )

    def log(self, name: str) -> Path:
        """What the commands of a run say."""
        return self.place / f"{name}.log"

    def _options(self, **files: str) -> list[object]:
        pairs = (
            (f"--{key.replace('_', '-')}", self.corpus / value) for key, value in files.items()
        )
        return [each for pair in pairs for each in pair]


def environment() -> dict[str, str]:
    """One thread for everything, and no modules but those of the python that is started."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def make_corpus(checkout: Checkout) -> None:
    """Has a checkout make what is trained on."""
    checkout.corpus.mkdir(parents=True, exist_ok=True)
    program: list[str | Path] = [checkout.python, "-c", MATERIAL, checkout.corpus]
    # tests.toy is found in the current directory
    done = subprocess.run(program, cwd=checkout.root, env=environment(), capture_output=True)
    if done.returncode:
        sys.exit(f"{checkout.root} cannot make the corpus:\n{done.stderr.decode()[-3000:]}")


def check_python(checkout: Checkout) -> None:
    """Refuses a python whose chainstitch is that of another checkout."""
    program = "import chainstitch.nnet; print(chainstitch.nnet.__path__[0])"
    done = subprocess.run(
        [checkout.python, "-c", program], cwd=checkout.place, env=environment(),
        capture_output=True, text=True,
    )  # fmt: skip
    nnet = done.stdout.strip()
    if not nnet or Path(nnet).resolve().parent != checkout.root.resolve():
        sys.exit(f"{checkout.python} has the chainstitch of {nnet or 'nowhere'}, wanted that of "
                 f"{checkout.root}; see utils/setup.sh")  # fmt: skip


def train_and_compare(
    name: str, run: Run, before: Checkout, after: Checkout, final: bool
) -> Comparison:
    """One run by both."""
    for commands in ["train", "combine"] if final else ["train"]:
        processes = [
            checkout.train(name, run) if commands == "train" else checkout.combine(name)
            for checkout in (before, after)
        ]
        failed = [
            f"{checkout.root} cannot {commands}: {last_line(checkout.log(name))}"
            for checkout, process in zip((before, after), processes, strict=True)
            if process.wait()
        ]
        if failed:
            return Comparison(differences=failed)
    return compare_runs(before.place / name, after.place / name, final)


def last_line(log: Path) -> str:
    """What a command said last."""
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it says nothing"


def main() -> int:
    """Trains the runs with both checkouts and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--python-before", type=Path, help="default: BEFORE/.venv/bin/python")
    parser.add_argument("--python-after", type=Path, help="default: AFTER/.venv/bin/python")
    parser.add_argument("--only", action="append", choices=RUNS, help="may be repeated")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep all that is written there")
    parser.add_argument("--final", action="store_true", help="combine, and compare final.pt")
    parser.add_argument("--own-corpus", action="store_true", help="AFTER makes the corpus again")
    parser.add_argument("--all-differences", action="store_true", help="not the first ones alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = (options.keep or Path(temporary)).absolute()
        if options.keep and place.exists() and any(place.iterdir()):
            parser.error(f"--keep {place} is not empty")
        pair: list[Checkout] = []
        for which in ("before", "after"):
            root = getattr(options, which).absolute()
            python = getattr(options, f"python_{which}") or root / ".venv" / "bin" / "python"
            corpus = place / ("corpus_after" if options.own_corpus and pair else "corpus")
            pair.append(Checkout(root, python.absolute(), corpus, place / which))
            pair[-1].place.mkdir(parents=True)
            check_python(pair[-1])
        began = time.perf_counter()
        for checkout in pair if options.own_corpus else pair[:1]:
            make_corpus(checkout)
        different = report(
            options.only or list(RUNS), pair[0], pair[1], options.final, options.all_differences
        )
        print(f"{time.perf_counter() - began:.0f} s in all")
    return int(different > 0)


def report(
    names: list[str], before: Checkout, after: Checkout, final: bool, all_differences: bool
) -> int:
    """Prints a line for each run; how many differ."""
    print(f"{'run':16}{'iterations':>10}{'tensors':>9}{'fields':>8}  result")
    different = 0
    for name in names:
        found = train_and_compare(name, RUNS[name], before, after, final)
        different += bool(found.differences)
        count = len(found.differences)
        result = f"{count} differ, first: {found.differences[0]}" if count else "same"
        notes = f" ({'; '.join(found.notes)})" if found.notes else ""
        print(
            f"{name:16}{found.iterations:10}{found.tensors:9}{found.fields:8}  {result}{notes}",
            flush=True,
        )
        for more in found.differences[1:] if all_differences else ():
            print(f"{'':43}  {more}")
    print(f"{len(names) - different} of {len(names)} runs are the same")
    return different


if __name__ == "__main__":
    sys.exit(main())
