"""Dull twins of Switchboard's rules: words without patterns, acronyms by two passes, padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
Times = tuple[float, float]


def map_word(token: str) -> str:
    """The eight substitutions, each by looking at the characters."""
    for rule in (_laughed, _meant, _begun_late, _broken_off, _badly_written, _no_word, _inner, _no):
        token = rule(token)
    return token


def _bare(text: str) -> bool:
    return bool(text) and "[" not in text and "]" not in text


def _hyphen(token: str) -> tuple[str, str]:
    """The token up to a last ], and a hyphen behind that, if it ends so."""
    if token.endswith("]-"):
        return token[:-1], "-"
    return token, ""


def _laughed(token: str) -> str:
    inner, hyphen = _hyphen(token)
    if inner.lower().startswith("[laughter-") and inner.endswith("]") and len(inner) > 11:
        return inner[10:-1] + hyphen
    return token


def _meant(token: str) -> str:
    inner, hyphen = _hyphen(token)
    if inner.startswith("[") and inner.endswith("]"):
        for slash in range(len(inner) - 3, 1, -1):
            if inner[slash] == "/":
                return inner[1:slash] + hyphen
    return token


def _begun_late(token: str) -> str:
    rest = token.removeprefix("-")
    if rest.startswith("[") and "]" in rest:
        inner, _, behind = rest[1:].partition("]")
        if _bare(inner) and behind:
            return "-" + behind
    return token


def _broken_off(token: str) -> str:
    inner, _ = _hyphen(token)
    if inner.endswith("]") and "[" in inner:
        before, _, within = inner[:-1].rpartition("[")
        if before and _bare(within):
            return before + "-"
    return token


def _badly_written(token: str) -> str:
    if not token.endswith("]"):
        return token
    for at in range(1, len(token) - 2):
        if token[at] == "[" and token[at - 1] not in "[]":
            return token[:at]
    return token


def _no_word(token: str) -> str:
    if token.startswith("{") and token.endswith("}") and len(token) > 2:
        return token[1:-1]
    return token


def _inner(token: str) -> str:
    for start in range(1, len(token)):
        if token[start] != "[" or token[start - 1] not in LETTERS:
            continue
        end = token.find("]", start)
        if end > 0 and _bare(token[start + 1 : end]) and token[end + 1 : end + 2] in LETTERS:
            return token[: start - 1] + token[end - 1] + "-" + token[end + 2 :]
    return token


def _no(token: str) -> str:
    for at in range(len(token) - 1):
        if token[at] == "_" and token[at + 1] in "0123456789":
            return token[:at] + token[at + 2 :]
    return token


def written(text: str, acronyms: Mapping[str, str]) -> str:
    """Acronyms in a text: first those around an I, then the others."""
    words = text.split()
    for n in range(len(words)):
        if words[n] != "I":
            continue
        first = last = n
        while first > 0 and _capital(words[first - 1]):
            first -= 1
        while last + 1 < len(words) and _capital(words[last + 1]):
            last += 1
        if first < last:
            words[first : last + 1] = [acronyms[word] for word in words[first : last + 1]]
    return " ".join(
        acronyms[word] if word in acronyms and word not in ("I", "i") else word for word in words
    ).lower()


def _capital(word: str) -> bool:
    return len(word) == 1 and word in LETTERS and word.isupper()


def padded(sides: list[str], times: list[Times], pad: float) -> Iterator[Times]:
    """Each segment by itself, with its neighbours in the order of starts."""
    for n, (start, end) in enumerate(times):
        own = [k for k in range(len(times)) if sides[k] == sides[n]]
        own.sort(key=lambda k: (times[k][0], k))
        place = own.index(n)
        if place == 0:
            start = max(0.0, start - pad)
        else:
            before = times[own[place - 1]][1]
            start -= min(pad, 0.5 * (start - before)) if before <= start else 0.0
        if place == len(own) - 1:
            end += pad
        else:
            after = times[own[place + 1]][0]
            end += min(pad, 0.5 * (after - end)) if end <= after else 0.0
        yield float(f"{start:.2f}"), float(f"{end:.2f}")
