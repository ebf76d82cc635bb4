"""A dull twin of how AMI's segments are cut: lists of (token, time) all the way."""

from __future__ import annotations

Timed = tuple[str, str | None]  # a token, and its time if it is a mark
Piece = tuple[int, int, list[str]]


def pieces(line: str) -> list[Piece]:
    """(start, end, words in capitals) of the pieces, in hundredths of a second, by start.

    For lines whose marks have times that differ, and in which no word has a point.
    """
    fields = line.split()
    start, end, tokens = float(fields[6]), float(fields[7]), fields[8:]
    times = [token for token in tokens if token[0].isdigit()]
    timed: list[Timed] = []
    for token in tokens:
        if token in (".", ",", "?", "!", ":"):
            timed.append((token, times.pop(0)))
        elif not token[0].isdigit():
            timed.append((token.upper(), None))
    marks = [(time, token) for token, time in timed if time and token in (",", "!", ":")]
    found: list[tuple[float, float, list[Timed]]] = []
    begin, sentence = start, []
    for token, time in [*timed, (".", str(end))]:
        if time and token in (".", "?"):
            found += _cut(begin, float(time), sentence, sorted(marks))
            begin, sentence = float(time), []
        else:
            sentence.append((token, time))
    whole = [
        (int(a * 100), int(b * 100), [word for word, time in part if time is None])
        for a, b, part in found
    ]
    return sorted(piece for piece in whole if piece[0] < piece[1] and piece[2])


def _cut(
    begin: float, end: float, sentence: list[Timed], marks: list[tuple[str, str]]
) -> list[tuple[float, float, list[Timed]]]:
    if len(sentence) <= 30:
        return [(begin, end, sentence)]
    middle, nearest, kind = (begin + end) / 2, begin, ""
    for time, token in marks:
        if float(time) == end:
            break
        if abs(float(time) - middle) < abs(nearest - middle):
            nearest, kind = float(time), token
    if kind != ",":
        return [(begin, end, sentence)]
    (at,) = [n for n, (_, time) in enumerate(sentence) if time and float(time) == nearest]
    left, right = sentence[:at], sentence[at + 1 :]
    return _cut(begin, nearest, left, marks) + _cut(nearest, end, right, marks)
