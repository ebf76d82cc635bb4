"""AMI's manual annotations, release 1.6.1, as they are distributed: XML of the NITE tools.

    corpusResources/meetings.xml    <meeting observation="ES2002a">
                                      <speaker nxt_agent="A" global_name="MEE006" channel="0"/>
    words/ES2002a.A.words.xml       <w nite:id="ES2002a.A.words3" starttime="77.44" endtime="77.74">
                                    Hi</w>; with punc="true" punctuation; vocalsound and others
    segments/ES2002a.A.segments.xml <segment transcriber_start="77.4" transcriber_end="80">
                                      <nite:child href="ES2002a.A.words.xml#id(X)..id(Y)"/>

`segment_lines` makes of them what the NITE tools print, a line for each segment that holds a word,
which is what ami_text.py cuts. The segment's start and end there are those of its words; a
segment none of whose words has a time is counted, and so are agents whom meetings.xml does not
know. Whether NITE counts vocal sounds for the start as well is not known here; we do not.

Files are Latin-1 and have entities (&#39;), so that expat gets their bytes. lhotse's reader of
these files opens them as text, takes 1.6.2 (other times, so other pieces), and drops punctuation.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from chainstitch.utils.errors import UserError

RELEASE = "1.6.1"
MEETINGS = "corpusResources/meetings.xml"
READMES = ("00README_MANUAL.txt", "MANIFEST_MANUAL.txt")
_ID = "{http://nite.sourceforge.net/}id"
_CHILD = "{http://nite.sourceforge.net/}child"
_HREF = re.compile(r"[^#]*#id\(([^()]+)\)(?:\.\.id\(([^()]+)\))?")
_RELEASE = re.compile(rb"(?<![0-9.])1\.[5-9]\.[0-9]+(?![0-9.])")
LATIN = "iso-8859-1"


class Agent(NamedTuple):
    """A person of a meeting."""

    code: str
    channel: str


class Word(NamedTuple):
    """A `w`; times as they are written, "" if there are none."""

    text: str
    start: str
    end: str
    punctuation: bool


@dataclass
class Skipped:
    """What `segment_lines` left out: agents by `meeting.agent`, and how many segments."""

    agents: list[str] = field(default_factory=list)
    without_time: int = 0


def check_annotations(directory: Path, release: str = RELEASE) -> None:
    """That a directory holds the annotations of a release.

    Raises:
        UserError: it holds none, or those of another one, as far as its README says.
    """
    for name in (MEETINGS, "words", "segments"):
        if not (directory / name).exists():
            raise UserError(
                f"{directory} has no {name}; wanted what ami_public_manual_{release}.zip unpacks "
                "to: pass --annotations DIR"
            )
    for name in READMES:
        path = directory / name
        if path.is_file() and (found := set(_RELEASE.findall(path.read_bytes()))):
            newest = max(found, key=lambda one: [int(n) for n in one.split(b".")]).decode()
            if newest != release:
                raise UserError(
                    f"{path} is of release {newest}, wanted {release}, which published results "
                    f"are of; get ami_public_manual_{release}.zip, or pass --release {newest}"
                )


def read_agents(directory: Path) -> dict[str, dict[str, Agent]]:
    """Who is in a meeting: meeting -> agent -> person.

    Raises:
        UserError: meetings.xml is damaged, or somebody has no code or channel; names the meeting.
    """
    path = directory / MEETINGS
    found: dict[str, dict[str, Agent]] = {}
    for meeting in _parse(path).iter("meeting"):
        name = meeting.get("observation", "")
        agents = found.setdefault(name, {})
        for speaker in meeting.iter("speaker"):
            agent = speaker.get("nxt_agent", "")
            code, channel = (speaker.get(key, "").strip() for key in ("global_name", "channel"))
            if not (agent and code and re.fullmatch("[0-9]", channel)):
                raise UserError(
                    f"{path}: speaker {agent!r} of meeting {name!r} has code {code!r} and channel "
                    f"{channel!r}, wanted nxt_agent, global_name and a channel of one digit; copy "
                    "the annotations again"
                )
            agents[agent] = Agent(code, channel)
    if not found:
        raise UserError(f"{path} names no meetings; copy the annotations again")
    return found


def segment_lines(
    directory: Path, meeting: str, agents: dict[str, Agent], skipped: Skipped
) -> Iterator[str]:
    """The lines of a meeting, agent by agent, as ami_text.py describes them.

    Raises:
        UserError: a file is damaged or missing; or a segment names words that are not there.
    """
    paths = sorted((directory / "segments").glob(f"{meeting}.*.segments.xml"))
    if not paths:
        raise UserError(
            f"{directory / 'segments'} has no {meeting}.*.segments.xml; copy the annotations again"
        )
    for path in paths:
        agent = path.name.split(".")[1]
        if agent not in agents:
            skipped.agents.append(f"{meeting}.{agent}")
            continue
        words = _words(directory / "words" / f"{meeting}.{agent}.words.xml")
        places = {name: place for place, (name, _) in enumerate(words)}
        person = agents[agent]
        for segment in _parse(path).iter("segment"):
            spoken = [word for word in _spoken(segment, words, places, path) if word is not None]
            if not spoken:
                continue
            starts = [word.start for word in spoken if word.start]
            ends = [word.end for word in spoken if word.end]
            if not starts or not ends:
                skipped.without_time += 1
                continue
            drawn = (segment.get(f"transcriber_{side}", "0") for side in ("start", "end"))
            yield " ".join([
                meeting, agent, person.code, person.channel, *drawn, min(starts, key=float),
                max(ends, key=float), *(word.text for word in spoken),
                *(word.start for word in spoken if word.punctuation),
            ])  # fmt: skip


def _words(path: Path) -> list[tuple[str, Word | None]]:
    """(id, word) of every element, in order; None for what is no word."""
    found: list[tuple[str, Word | None]] = []
    for element in _parse(path):
        word = None
        if element.tag == "w":
            times = [element.get(key, "") for key in ("starttime", "endtime")]
            for time in times:
                _check_time(time, path, element)
            text = " ".join((element.text or "").split())
            word = Word(text, times[0], times[1], element.get("punc") == "true")
        found.append((element.get(_ID, ""), word))
    return found


def _spoken(
    segment: ElementTree.Element,
    words: list[tuple[str, Word | None]],
    places: dict[str, int],
    path: Path,
) -> Iterator[Word | None]:
    """What a segment's children name, in their order."""
    for child in segment.iter(_CHILD):
        href = child.get("href", "")
        found = _HREF.fullmatch(href)
        if found is None:
            raise UserError(f"{path}: {href[:80]!r}: wanted FILE#id(FIRST)..id(LAST)")
        ends = [found[1], found[2] or found[1]]
        for name in ends:
            if name not in places:
                raise UserError(
                    f"{path}: a segment has {name!r}, which is not in its file of words; copy the "
                    "annotations again"
                )
        first, last = (places[name] for name in ends)
        yield from (word for _, word in words[first : last + 1])


def _check_time(time: str, path: Path, element: ElementTree.Element) -> None:
    if time and not re.fullmatch(r"[0-9]+(\.[0-9]*)?", time):
        raise UserError(f"{path}: {element.get(_ID)} has the time {time!r}, wanted seconds")


def _parse(path: Path) -> ElementTree.Element:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; copy the annotations again") from None
    declared = b"encoding=" in data[: data.find(b"?>") + 1]
    try:
        return ElementTree.XML(data, ElementTree.XMLParser(encoding=None if declared else LATIN))
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise UserError(f"{path} is no whole XML ({error}); copy the annotations again") from None
