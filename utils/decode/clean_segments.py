r"""Segments of an utterance that fit their words, from its tainted edits.

Let the lines of an utterance be l_1 .. l_T. In order:

 1. Cores: every run of untainted lines that are `cor`, `sil` or `fix`, if a word in it was
    recognised as itself.
 2. A core that begins or ends with a correct word gets the tainted line beside it.
 3. It is split in the middle of a silence, or of a word that is not scored, that is too long to lie
    inside.
 4. Such a line at an edge is cut down to what may stay there, but not so far that the segment gets
    too short for a new one; a tainted line is cut all the same.
 5. An edge at a scored word gets a little more sound, with the unknown word for it: the piece of
    what was not understood. It needs half of that sound at least.
 6. Too short segments go; whole utterances may be shorter than new ones.
 7. An edge that is mostly junk (tainted lines, the sound of 5) is cut off at the first silence, or
    word that is not scored, that is long enough to cut at.
 8. Segments without a scored word that was recognised as itself go, and those of too much junk.
 9. Segments that touch or overlap become one; the words that were deleted between them come back,
    if they are few.

What stays and what goes is Kaldi's, as are the numbers. Its script has an option for the longest
tainted line of 2, too, which nothing there looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from chainstitch.utils.decode.ctm_edits import Edit
from chainstitch.utils.lang.lexicon import EPSILON

FRAME = 0.01  # seconds; times are whole numbers of it
ALMOST = 0.999  # of a shortest length: what rounding may take


@dataclass(frozen=True)
class Limits:
    """What a segment may be; lengths in seconds."""

    min_segment: float = field(default=0.5, metadata={"bounds": "[0, 1000]"})
    min_new_segment: float = field(default=1.0, metadata={"bounds": "[0, 1000]"})
    max_edge_silence: float = field(default=0.5, metadata={"bounds": "[0, 1000]"})
    max_edge_non_scored: float = field(default=0.5, metadata={"bounds": "[0, 1000]"})
    max_internal_silence: float = field(default=2.0, metadata={"bounds": "[0, 1000]"})
    max_internal_non_scored: float = field(default=2.0, metadata={"bounds": "[0, 1000]"})
    unknown_padding: float = field(default=0.05, metadata={"bounds": "[0, 10]"})
    max_junk: float = field(default=0.1, metadata={"bounds": "[0, 1]"})  # of a segment's length
    min_split_point: float = field(default=0.1, metadata={"bounds": "[0, 1000]"})
    max_deleted_words: int = field(default=1, metadata={"bounds": "[0, 1000000]"})  # see 9


@dataclass
class Segment:
    """Lines first .. last of an utterance.

    Attributes:
        kept: which shares of the first and the last line are in it.
        padding: seconds of sound before the first and behind the last line.
        left_out: deletions whose words do not come back.
    """

    lines: Sequence[Edit]
    first: int
    last: int
    kept: list[float] = field(default_factory=lambda: [1.0, 1.0])
    padding: list[float] = field(default_factory=lambda: [0.0, 0.0])
    left_out: set[int] = field(default_factory=set)

    @property
    def edges(self) -> tuple[Edit, Edit]:
        """The first and the last line."""
        return self.lines[self.first], self.lines[self.last]

    @property
    def start(self) -> float:
        line = self.edges[0]
        return line.begin + line.length - self.padding[0] - line.length * self.kept[0]

    @property
    def end(self) -> float:
        line = self.edges[1]
        return line.begin + line.length * self.kept[1] + self.padding[1]

    @property
    def length(self) -> float:
        return self.end - self.start

    def is_whole(self) -> bool:
        """Whether it is the utterance."""
        return abs(self.start) < 0.001 and abs(self.end - self.lines[-1].end) < 0.001

    def junk(self, edge: int) -> float:
        """Seconds of junk at the first (0) or last (1) line."""
        line = self.edges[edge]
        return self.padding[edge] + (line.length * self.kept[edge] if line.tainted else 0.0)

    def words(self, unknown: str) -> list[str]:
        """Its transcript."""
        inside = range(self.first, self.last + 1)
        refs = [self.lines[n].ref for n in inside if n not in self.left_out]
        padding = [[unknown] if seconds else [] for seconds in self.padding]
        return [*padding[0], *(ref for ref in refs if ref != EPSILON), *padding[1]]


class Cleaner:
    """Makes segments, and counts what each step leaves of them.

    Attributes:
        left: step -> (segments, seconds) after it.
        words: how often each word of the references came; lost: how often in no segment.
    """

    def __init__(self, non_scored: Collection[str], unknown: str, limits: Limits) -> None:
        self.non_scored, self.unknown, self.limits = non_scored, unknown, limits
        self.utterances, self.empty, self.seconds = 0, 0, 0.0
        self.left: dict[str, tuple[int, float]] = {}
        self.words: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def segments(self, lines: Sequence[Edit]) -> list[Segment]:
        """Those of an utterance, in their order; the times of two may overlap a little."""
        limits = self.limits
        found = [Segment(lines, *core) for core in cores(lines)]
        self._count("cores", found)
        for segment in found:
            self._add_tainted(segment)
        self._count("with tainted edges", found)
        found = [piece for segment in found for piece in self._split(segment)]
        self._count("split at long silences", found)
        for segment in found:
            self._cut_edges(segment)
            self._relax(segment)
        self._count("with shorter edges", found)
        for segment in found:
            self._pad(segment)
        self._count("with sound of unknown words", found)
        found = [s for s in found if s.is_whole() or s.length >= ALMOST * limits.min_new_segment]
        found = [s for s in found if s.length >= ALMOST * limits.min_segment]
        self._count("long enough", found)
        for segment in found:
            self._cut_junk(segment, 0)
            self._cut_junk(segment, 1)
        self._count("with edges of junk cut off", found)
        found = [segment for segment in found if any(map(self._proves, self._inside(segment)))]
        self._count("with a word that was recognised", found)
        found = [s for s in found if (s.junk(0) + s.junk(1)) / s.length <= limits.max_junk]
        self._count("with little junk", found)
        found = self._merge(found)
        self._count("merged", found)
        self._summarise(lines, found)
        return found

    def _add_tainted(self, segment: Segment) -> None:
        lines, (first, last) = segment.lines, segment.edges
        if first.kind == "cor" and segment.first > 0 and lines[segment.first - 1].tainted:
            segment.first -= 1
        is_end = segment.last + 1 == len(lines)
        if last.kind == "cor" and not is_end and lines[segment.last + 1].tainted:
            segment.last += 1

    def _split(self, segment: Segment) -> list[Segment]:
        limits, lines = self.limits, segment.lines
        pieces = [segment]
        for n in range(segment.first + 1, segment.last):
            line = lines[n]
            silent = line.kind == "sil" and line.length > limits.max_internal_silence
            noise = line.ref in self.non_scored and line.length > limits.max_internal_non_scored
            if silent or noise:
                pieces[-1:] = [
                    Segment(lines, pieces[-1].first, n, [pieces[-1].kept[0], 0.5]),
                    Segment(lines, n, pieces[-1].last, [0.5, 1.0]),
                ]
        return pieces

    def _cut_edges(self, segment: Segment) -> None:
        limits = self.limits
        for edge, line in enumerate(segment.edges):
            if line.kind == "sil" and line.length > limits.max_edge_silence:
                segment.kept[edge] = limits.max_edge_silence / line.length
            elif line.ref in self.non_scored and line.length > limits.max_edge_non_scored:
                segment.kept[edge] = limits.max_edge_non_scored / line.length

    def _relax(self, segment: Segment) -> None:
        """Takes back as much of the cuts as makes it as long as a new segment must be."""
        wanted = max(self.limits.min_new_segment, self.limits.min_segment)
        cut, cut_length = list(segment.kept), segment.length
        if cut == [1.0, 1.0] or cut_length >= wanted:
            return
        for edge, line in enumerate(segment.edges):
            if not line.tainted:
                segment.kept[edge] = 1.0
        whole, length = list(segment.kept), segment.length
        if length > wanted:
            share = (wanted - length) / (cut_length - length)  # of the cut
            segment.kept = [share * c + (1 - share) * w for c, w in zip(cut, whole, strict=True)]

    def _pad(self, segment: Segment) -> None:
        first, last = segment.edges
        room = first.begin, segment.lines[-1].end - last.end
        for edge, line in enumerate(segment.edges):
            if line.kind == "cor" and line.ref not in self.non_scored:
                wanted = self.limits.unknown_padding
                padding = min(wanted, room[edge])
                segment.padding[edge] = 0.0 if padding < 0.5 * wanted else padding

    def _cut_junk(self, segment: Segment, edge: int) -> None:
        """Cuts off an edge that is mostly junk."""
        junk, lines = segment.junk(edge), segment.lines
        inside = range(segment.first + 1, segment.last)
        if junk == 0.0:
            return
        cut = next((n for n in (inside[::-1] if edge else inside) if self._can_cut(lines[n])), None)
        if cut is None:
            return
        gone = segment.end - lines[cut].end if edge else lines[cut].begin - segment.start
        if junk / gone < self.limits.max_junk:
            return
        if edge:
            segment.last = cut
        else:
            segment.first = cut
        segment.padding[edge], segment.kept[edge] = 0.0, 1.0

    def _can_cut(self, line: Edit) -> bool:
        is_pause = line.kind == "sil" or (line.kind == "cor" and line.ref in self.non_scored)
        return is_pause and line.length > self.limits.min_split_point

    def _proves(self, line: Edit) -> bool:
        return line.kind == "cor" and line.ref == line.hyp and line.ref not in self.non_scored

    def _merge(self, segments: Iterable[Segment]) -> list[Segment]:
        merged: list[Segment] = []
        for segment in segments:
            if not merged or merged[-1].end < segment.start:
                merged.append(segment)
                continue
            before = merged[-1]
            low, high = sorted((before.last, segment.first))
            deleted = {n for n in range(low, high + 1) if segment.lines[n].kind == "del"}
            if len(deleted) > self.limits.max_deleted_words:
                before.left_out |= deleted
            before.last = segment.last
            before.kept[1], before.padding[1] = segment.kept[1], segment.padding[1]
        return merged

    def _inside(self, segment: Segment) -> Sequence[Edit]:
        return segment.lines[segment.first : segment.last + 1]

    def _count(self, step: str, segments: Sequence[Segment]) -> None:
        number, seconds = self.left.get(step, (0, 0.0))
        total = sum(segment.length for segment in segments)
        self.left[step] = number + len(segments), seconds + total

    def _summarise(self, lines: Sequence[Edit], segments: Sequence[Segment]) -> None:
        self.utterances += 1
        self.empty += not segments
        self.seconds += lines[-1].end
        inside = {n for s in segments for n in range(s.first, s.last + 1)}
        for n, line in enumerate(lines):
            if line.ref != EPSILON:
                self.words[line.ref] += 1
                self.lost[line.ref] += n not in inside


def cores(lines: Sequence[Edit]) -> list[tuple[int, int]]:
    """(first, last) of every run of lines that can be trusted, with a word that proves it."""
    found: list[tuple[int, int]] = []
    begin = None
    for n in range(len(lines) + 1):
        good = n < len(lines) and _is_good(lines[n])
        if good and begin is None:
            begin = n
        if not good and begin is not None:
            if any(line.kind == "cor" and line.hyp == line.ref for line in lines[begin:n]):
                found.append((begin, n - 1))
            begin = None
    return found


def _is_good(line: Edit) -> bool:
    if line.kind == "cor" and line.hyp == line.ref:
        return True
    return line.kind in ("cor", "sil", "fix") and not line.tainted


def second(time: float) -> str:
    """A time in whole frames, without zeros at its end: 0.5, 12.25, 3."""
    return f"{round(time / FRAME) * FRAME:.6f}".rstrip("0").rstrip(".")


def names(utterance: str, count: int) -> list[str]:
    """The ids of that many segments: `utt-1` to `utt-9`, or `utt-01` to `utt-12`."""
    return [f"{utterance}-{n:0{len(str(count))}}" for n in range(1, count + 1)]
