"""The dull twins of minimum Bayes risk: over all paths one by one, and the recursion in dicts."""

from __future__ import annotations

import math


def paths(rows, end):
    """(words, cost) of every path of arcs (source, target, word, cost) from 0 to the end."""
    found, todo = [], [(0, (), 0.0)]
    while todo:
        state, words, cost = todo.pop()
        if state == end:
            found.append((words, cost))
        for source, target, word, more in rows:
            if source == state:
                todo.append((target, (*words, word) if word else words, cost + more))
    return found


def edit_distance(one, other):
    """The fewest substitutions, insertions and deletions."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, before = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(before[j - 1] + (a != b), before[j] + 1, row[j - 1] + 1))
    return row[-1]


def expected_errors(found, words):
    """The mean edit distance of paths to `words`."""
    least = min(cost for _, cost in found)
    weights = [math.exp(least - cost) for _, cost in found]
    errors = [edit_distance(said, words) for said, _ in found]
    return sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)


def recursion(rows, end, words):
    """A(N, Q) of the paper, word by word, without its trifle for insertions."""
    alpha = {0: 1.0}
    size = len(words)
    distance = {(0, q): float(q) for q in range(size + 1)}
    for n in range(1, end + 1):
        into = [row for row in rows if row[1] == n]
        alpha[n] = sum(alpha[s] * math.exp(-cost) for s, _, _, cost in into)
        for q in range(size + 1):
            distance[n, q] = 0.0
        for s, _, word, cost in into:
            here = {}
            for q in range(size + 1):
                ways = [distance[s, q] + (word != 0)]
                if q:
                    wrong = 1.0 if word == 0 else float(word != words[q - 1])
                    ways += [distance[s, q - 1] + wrong, here[q - 1] + 1.0]
                here[q] = min(ways)
            share = alpha[s] * math.exp(-cost) / alpha[n]
            for q in range(size + 1):
                distance[n, q] += share * here[q]
    return distance[end, size]
