"""How well i-vectors tell speakers apart: nearest class mean, by cosine.

    python tests/bench/ivectors.py --train data/train_hires train.h5 --test data/test_hires test.h5

Each utterance has its last i-vector; test utterances the estimate at --frame, if given. The mean of
all training i-vectors is subtracted, each is scaled to length 1, and a test utterance is given to
the speaker whose mean training i-vector has the largest cosine with it. Speed-perturbed copies are
left out. Prints one JSON line a test set.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.data.manifests import cut_speaker, read_cuts


def load(data: str, ivectors: str, frame: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(utterances, dim) and their speakers."""
    reader = IvectorReader(ivectors)
    cuts = [cut for cut in read_cuts(data) if not cut_speaker(cut).startswith("sp")]
    vectors = np.array([reader.load(cut.id, frame) for cut in cuts], np.float64)
    return vectors, np.array([cut_speaker(cut) for cut in cuts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", nargs=2, required=True, metavar=("DATA", "IVECTORS"))
    parser.add_argument(
        "--test", nargs=2, required=True, action="append", metavar=("DATA", "IVECTORS")
    )
    parser.add_argument("--frame", type=int, help="of the estimate, from 0; by default the last")
    options = parser.parse_args()
    vectors, speakers = load(*options.train)
    mean = vectors.mean(0)

    def directions(x: np.ndarray) -> np.ndarray:
        x = x - mean
        return x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-10)

    names = np.unique(speakers)
    classes = np.array([directions(vectors)[speakers == name].mean(0) for name in names])
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    for data, ivectors in options.test:
        x, who = load(data, ivectors, options.frame)
        cosines = directions(x) @ classes.T
        right = names[cosines.argmax(1)] == who
        own = names[None] == who[:, None]
        others = np.where(own, -np.inf, cosines).max(1)
        print(
            json.dumps(
                {
                    "data": data, "utterances": len(x), "speakers": len(names),
                    "right": int(right.sum()), "accuracy": round(float(right.mean()), 4),
                    "by_speaker": {str(n): round(float(right[who == n].mean()), 3) for n in names},
                    "cosine_own": round(float(cosines[own].mean()), 3),
                    "cosine_best_other": round(float(others.mean()), 3),
                }
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
