"""Dull twins of TED-LIUM's text rules."""

from __future__ import annotations


def joined(line: str) -> str:
    """Words that begin with ' behind the word before, each pair once; the first stays alone."""
    words = line.split()
    if not words:
        return ""
    made = []
    n = 1
    while n < len(words):
        if n + 1 < len(words) and words[n + 1][0] == "'":
            made.append(words[n] + words[n + 1])
            n += 2
        else:
            made.append(words[n])
            n += 1
    return words[0] + " " + " ".join(made)
