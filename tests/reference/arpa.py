"""The dull twin of a back-off model: an ARPA file in a dict, and its definition."""

from __future__ import annotations

import math


def read(text):
    """n-gram -> (log10 p, log10 back-off)."""
    found, order = {}, 0
    for line in text.splitlines():
        fields = line.split()
        if line.startswith("\\"):
            order = int(line[1]) if line[1:2].isdigit() else 0
        elif order and fields:
            backoff = float(fields[order + 1]) if len(fields) > order + 1 else 0.0
            found[tuple(fields[1 : order + 1])] = (float(fields[0]), backoff)
    return found


def log10(model, history, word):
    """log10 p(word | history)."""
    if (*history, word) in model:
        return model[*history, word][0]
    if not history:
        return -math.inf
    return model.get(tuple(history), (0.0, 0.0))[1] + log10(model, history[1:], word)


def cost(model, words, order):
    """-ln p of a sentence."""
    said = ["<s>", *words, "</s>"]
    total = 0.0
    for n in range(1, len(said)):
        total += log10(model, tuple(said[max(0, n - order + 1) : n]), said[n])
    return -total * math.log(10.0)
