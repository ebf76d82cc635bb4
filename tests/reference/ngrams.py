"""N-gram models the dull way: dicts of n-grams, each definition as it is written.

A model is a dict from an n-gram, a tuple of words, to its log10 probability and log10 back-off
weight. Everything is computed from the definitions in utils/lm, n-gram by n-gram.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

Ngram = tuple[str, ...]
Model = dict[Ngram, tuple[float, float]]


def read(path: Path) -> Model:
    """The model of a plain ARPA file."""
    model: Model = {}
    order = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("\\"):
            order = int(line[1]) if line[1].isdigit() else 0
        elif order and line.strip():
            fields = line.split()
            weight = float(fields[order + 1]) if len(fields) > order + 1 else 0.0
            model[tuple(fields[1 : order + 1])] = (float(fields[0]), weight)
    return model


def order_of(model: Model) -> int:
    return max(map(len, model))


def log_prob(model: Model, ngram: Ngram) -> float:
    """Of the last word after the others."""
    ngram = ngram[-order_of(model) :]
    if ngram in model:
        return model[ngram][0]
    if len(ngram) == 1:
        return -math.inf
    return model.get(ngram[:-1], (0.0, 0.0))[1] + log_prob(model, ngram[1:])


def tokens(sentences: Iterable[Sequence[str]]) -> list[Ngram]:
    """Each word and each end, with all that is before it in the sentence."""
    found = []
    for sentence in sentences:
        whole = ("<s>", *sentence, "</s>")
        found += [whole[: n + 1] for n in range(1, len(whole))]
    return found


def perplexity(model: Model, sentences: Iterable[Sequence[str]]) -> float:
    """Words that the model lacks are <unk>, or left out if it lacks that, too."""
    unknown = ("<unk>",) in model
    words = {ngram[0] for ngram in model if len(ngram) == 1}
    total, count = 0.0, 0
    for token in tokens(sentences):
        token = tuple(w if w in words else "<unk>" for w in token)
        if token[-1] != "<unk>" or unknown:
            total += log_prob(model, token)
            count += 1
    return float(10 ** (-total / count))


def kneser_ney(
    sentences: Iterable[Sequence[str]], order: int, least: Sequence[int], words: set[str] | None
) -> Model:
    """Interpolated modified Kneser-Ney; least counts of orders 2, 3, ..."""
    if words is not None:
        sentences = [[w if w in words else "<unk>" for w in s] for s in sentences]
    raw: Counter[Ngram] = Counter()
    for token in tokens(sentences):
        for n in range(1, min(order, len(token)) + 1):
            raw[token[-n:]] += 1
    before: dict[Ngram, set[str]] = defaultdict(set)
    for ngram in raw:
        before[ngram[1:]].add(ngram[0])
    vocabulary = {ngram[0] for ngram in raw if len(ngram) == 1} | ((words or set()) - {"<s>"})
    vocabulary |= {"<unk>"} if words is not None else set()
    counts: dict[Ngram, int] = {(w,): len(before[(w,)]) for w in vocabulary}
    for ngram in raw:
        if len(ngram) > 1:
            top = len(ngram) == order or ngram[0] == "<s>"
            counts[ngram] = raw[ngram] if top else len(before[ngram])
    discounts = [_discounts(counts, n) for n in range(1, order + 1)]
    after: dict[Ngram, list[Ngram]] = defaultdict(list)
    for ngram in counts:
        after[ngram[:-1]].append(ngram)
    sums = {h: sum(counts[g] for g in grams) for h, grams in after.items()}

    def kept(ngram: Ngram) -> bool:
        return len(ngram) == 1 or raw[ngram] >= least[len(ngram) - 2]

    def discount(ngram: Ngram) -> float:
        return discounts[len(ngram) - 1][min(counts[ngram], 3)]

    def weight(h: Ngram) -> float:
        return sum(discount(g) if kept(g) else counts[g] for g in after[h]) / sums[h]

    def p(ngram: Ngram) -> float:
        h = ngram[:-1]
        if h not in after:
            return p(ngram[1:])
        lower = p(ngram[1:]) if h else 1 / len(vocabulary)
        seen = counts.get(ngram, 0) and kept(ngram)
        return (counts[ngram] - discount(ngram) if seen else 0.0) / sums[h] + weight(h) * lower

    model: Model = {("<s>",): (-99.0, math.log10(weight(("<s>",))))}
    for ngram in counts:
        if kept(ngram):
            used = any(kept(g) for g in after[ngram])
            model[ngram] = (math.log10(p(ngram)), math.log10(weight(ngram)) if used else 0.0)
    return model


def _discounts(counts: dict[Ngram, int], n: int) -> list[float]:
    n1, n2, n3, n4 = (
        sum(1 for ngram, c in counts.items() if len(ngram) == n and c == k) for k in (1, 2, 3, 4)
    )
    y = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
    if n1 and n2 and n3:
        d = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        if all(0 < value < k for k, value in enumerate(d, start=1)):
            return [0.0, *d]
    return [0.0, y, y, y]


def _left_over(model: Model, h: Ngram) -> tuple[float, float]:
    seen = [g for g in model if len(g) == len(h) + 1 and g[:-1] == h]
    return (
        1 - sum(10 ** model[g][0] for g in seen),
        1 - sum(10 ** log_prob(model, g[1:]) for g in seen),
    )


def recompute(model: Model, orders: Iterable[int]) -> None:
    """Back-off weights of the histories of these orders, the lowest first."""
    for n in orders:
        histories = {g[:-1] for g in model if len(g) == n}
        for h in [g for g in model if len(g) == n - 1]:
            above, below = _left_over(model, h) if h in histories else (1.0, 1.0)
            nothing_left = below < 1e-6 or above <= 1e-12
            model[h] = (model[h][0], -99.0 if nothing_left else math.log10(above / below))
            for g in [g for g in model if len(g) == n and g[:-1] == h and below < 1e-6]:
                model[g] = (model[g][0] - math.log10(1 - above), model[g][1])


def em(models: Sequence[Model], sentences: Iterable[Sequence[str]]) -> list[float]:
    """The weights of a mixture."""
    words = {g[0] for model in models for g in model if len(g) == 1}
    rows = []
    for token in tokens(sentences):
        token = tuple(w if w in words else "<unk>" for w in token)
        row = [10 ** log_prob(model, token) for model in models]
        if sum(row) > 0:
            rows.append(row)
    weights, change = [1 / len(models)] * len(models), 1.0
    while change >= 0.001:
        new = [0.0] * len(models)
        for row in rows:
            total = sum(w * p for w, p in zip(weights, row, strict=True))
            for i, p in enumerate(row):
                new[i] += weights[i] * p / total / len(rows)
        change = max(abs(a - b) for a, b in zip(new, weights, strict=True))
        weights = new
    return weights


def mixture(models: Sequence[Model], weights: Sequence[float]) -> Model:
    """All n-grams of all, with mixed probabilities."""
    mixed: Model = {}
    for ngram in {g: None for model in models for g in model}:
        p = sum(w * 10 ** log_prob(m, ngram) for w, m in zip(weights, models, strict=True))
        mixed[ngram] = (math.log10(max(p, 1e-99)), 0.0)
    recompute(mixed, range(2, order_of(mixed) + 1))
    return mixed


def _chain(model: Model, ngram: Ngram, start: float) -> float:
    """log P along the prefixes; `start` is that of <s>."""
    total = start if ngram[:1] == ("<s>",) else model[ngram[:1]][0]
    return total + sum(model[ngram[:n]][0] for n in range(2, len(ngram) + 1))


def prune_entropy(model: Model, threshold: float) -> Model:
    """SRILM's way: the highest order first, each n-gram as if it alone went."""
    left = dict(model)
    for n in range(order_of(model), 1, -1):
        for ngram in [g for g in model if len(g) == n]:
            if any(g[:-1] == ngram for g in left if len(g) == n + 1):
                continue
            h, logp, lower = ngram[:-1], model[ngram][0], log_prob(model, ngram[1:])
            above, below = _left_over(model, h)
            new = math.log10((above + 10**logp) / (below + 10**lower))
            change = 10**logp * (lower + new - logp) + above * (new - model[h][1])
            reach = 10 ** _chain(model, h, model[("</s>",)][0])
            if 10 ** (-reach * change) - 1 < threshold:
                del left[ngram]
    recompute(left, range(2, order_of(model) + 1))
    return left


def prune_difference(model: Model, threshold: float) -> Model:
    """IRSTLM's way: the lowest order first."""
    left = dict(model)
    for n in range(2, order_of(model) + 1):
        compared = dict(left)
        for ngram in [g for g in compared if len(g) == n]:
            backed_off = compared[ngram[:-1]][1] + log_prob(compared, ngram[1:])
            score = 10 ** _chain(model, ngram, 0.0) * (model[ngram][0] - backed_off)
            if score <= threshold:
                for longer in [g for g in left if g[:n] == ngram]:
                    del left[longer]
        recompute(left, [n])
    return left
