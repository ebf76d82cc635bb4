"""How fast, and in how much memory, a 4-gram of 20 million words is trained, pruned and measured.

The words are drawn from a trigram of the Penn Treebank, by its own probabilities, and by those of a
shorter history where those leave something: text of the right statistics and any length, with many
more different n-grams than true text of that vocabulary has. Each step is a process of its own, as
a recipe starts it; its peak is that of the system for the process.

    python -m tests.bench.lm --corpus ../shared/data/ptb --words 20000000

On a core of an AMD EPYC that a dozen other processes wanted, too (Python 3.11): 20.0 million words,
10,001 different; the 4-gram without least counts has 23.1 million n-grams, 12.9 million of them
4-grams. Seconds are those of the processor, by which the words are divided:

    train          48 s    417,000 words/s     261 MB
    prune          77 s    260,000 words/s    1432 MB    to 6.8 million n-grams
    perplexity     83 s    240,000 words/s    1065 MB    of the same 20 million words

Training's memory is that of its largest part of the text, whatever the model's size; the other two
hold the model, at some 60 bytes for each n-gram while they work on it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chainstitch.utils.lm.arpa_file import read_model
from chainstitch.utils.lm.model import BackoffModel

CHAINS = 20_000  # sentences that are drawn at a time


def draw(model: BackoffModel, words: int, seed: int = 0) -> Iterator[str]:
    """Sentences with so many words, or a few more."""
    draws = np.random.default_rng(seed)
    cumulative = [np.concatenate([[0.0], np.cumsum(10.0**level.logp)]) for level in model.levels]
    size, start, end = len(model.words), model.ids[b"<s>"], model.ids[b"</s>"]
    said = [word.decode() for word in model.words]
    histories = np.full((CHAINS, model.order - 1), -1)
    histories[:, -1] = start
    sentences: list[list[str]] = [[] for _ in range(CHAINS)]
    while words > 0:
        word = np.full(CHAINS, -1)
        for n in range(model.order, 0, -1):
            left = np.flatnonzero(word < 0)
            place = model.find(histories[left, histories.shape[1] - n + 1 :])
            left, place = left[place >= 0], place[place >= 0]
            keys, total = model.levels[n - 1].keys, cumulative[n - 1]
            first, last = np.searchsorted(keys, [place * size, (place + 1) * size])
            mass = total[last] - total[first]
            u = draws.random(len(left)) * (1.0 if n > 1 else mass)
            at = np.searchsorted(total, total[first] + u, side="right") - 1
            hit = (u < mass) & (at < last)
            word[left[hit]] = keys[at[hit]] % size
        word[word < 0] = end
        histories = np.column_stack([histories[:, 1:], word])
        for chain, number in enumerate(word.tolist()):
            if number != end:
                sentences[chain].append(said[number])
            elif sentences[chain]:
                words -= len(sentences[chain])
                yield " ".join(sentences[chain])
                sentences[chain] = []
        histories[word == end] = [-1] * (model.order - 2) + [start]


def timed(*arguments: object) -> tuple[float, float, float, str]:
    """Seconds, those of the processor, peak in MB, and the last line that a command printed."""
    command = [sys.executable, "-m", "chainstitch.bin.main", *map(str, arguments)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    said = process.stdout.read().decode().strip().split("\n")[-1]
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    seconds = time.perf_counter() - begun
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="the directory of PTB")
    parser.add_argument("--words", type=int, default=20_000_000)
    parser.add_argument("--order", type=int, default=4)
    parser.add_argument("--min-count", nargs="*", default=["1"])
    parser.add_argument("--scratch", type=Path, help="kept; default: a temporary directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = options.scratch or Path(temporary)
        small, text, big, pruned = (place / n for n in ("ptb.arpa", "text", "big.arpa", "pr.arpa"))
        timed("lm", "train", options.corpus / "ptb.train.txt", "--out", small, "--overwrite")
        if not text.exists():
            with text.open("w", encoding="utf-8") as stream:
                for line in draw(read_model(small), options.words):
                    stream.write(line + "\n")
        least = [part for k in options.min_count for part in ("--min-count", k)]
        train = ("lm", "train", text, "--order", options.order, *least, "--out", big)
        prune = ("lm", "prune", big, "--threshold", "1e-8", "--out", pruned)
        test = ("lm", "perplexity", big, text)
        steps = [(train, "--overwrite"), (prune, "--overwrite"), (test,)]
        for step, *more in steps:
            seconds, busy, peak, said = timed(*step, *more)
            print(
                f"{step[1]:<10} {seconds:6.0f} s ({busy:.0f} of the processor) "
                f"{options.words / busy:9.0f} words/s {peak:6.0f} MB  {said.partition(': ')[2]}",
                flush=True,
            )


if __name__ == "__main__":
    main()
