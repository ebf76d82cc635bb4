"""A decode directory scored by NIST's programs, as results are published: `score --nist`.

For each point of the sweep there is a ctm, `ctm_<lmwt>_<wip>`; a directory that has only `ctm` is
scored at the one point that it was made for. Its words are moved into the recordings (ctm.py),
those that the corpus does not score are left out, and hubscr (sclite.py) counts the errors. Points
whose words are the same are scored once.

Which point counts is decided as in sweep.py: on a development set, and written to `choice.toml`. As
published results of Kaldi's recipes are the best of the sweep *on the test set itself*, that one is
given too, and labelled, where a test set was decoded at several points.

Everything goes to `nist/` in the decode directory: `wer_<lmwt>_<wip>`, `choice.toml`, `best_wer`,
`per_spk`, `summary` and, of the point that counts, NIST's own reports in `reports/`. Subsets are
those whose files begin, or do not begin, with some letters (the halves of Switchboard's test set);
they have a `reports_<name>/` each.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chainstitch.utils import config
from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.score import ctm as ctms
from chainstitch.utils.score import reference, sclite
from chainstitch.utils.score.places import read_places
from chainstitch.utils.score.report import per_speaker_text
from chainstitch.utils.score.sweep import (
    CENTRE_LMWT,
    CENTRE_WIP,
    Choice,
    Point,
    choose,
    edges,
    find_point,
    named_points,
    nearest_centre,
    refuse_sweep_on_test,
)
from chainstitch.utils.score.wer import Counts

log = logging.getLogger(__name__)

KIND = "nist"


@dataclass(frozen=True)
class Subset:
    """Files of a set that are reported by themselves: `name=letters`, or `name=!letters` for those
    that do not begin so."""

    name: str
    prefix: str
    negated: bool

    def holds(self, file: str) -> bool:
        return file.startswith(self.prefix) != self.negated


@dataclass(frozen=True)
class Setup:
    """What is scored against, and how.

    Attributes:
        places: of the utterances, None where the ctm is one of recordings already.
        rule: one of ctm.RULES; acronyms: as `ctm.read_acronyms` has them.
        overlap: how many people may speak at a time.
        nj: how many points are scored at a time.
    """

    stm: Path
    glm: Path | None
    places: Mapping[str, ctms.Place] | None
    rule: str = "none"
    acronyms: Mapping[str, list[str]] | None = None
    subsets: Sequence[Subset] = ()
    overlap: int = 0
    nj: int = 2


@dataclass(frozen=True)
class Labelled:
    """A %WER line, and how the point that it is of was chosen."""

    label: str
    counts: Counts


@dataclass(frozen=True)
class NistResult:
    """What `score_nist` found; `lines` begin with what was chosen on another set, if anything."""

    choice: Choice
    report: sclite.Report
    lines: list[Labelled]
    edges: list[str]

    def text(self) -> str:
        """Every line with its label, the speakers, and the %WER line that counts."""
        speakers = per_speaker_text(self.report.speakers, self.report.total)
        labelled = "\n".join(summary_line(line) for line in self.lines)
        return f"{speakers}{labelled}\n{self.report.total.wer_line()}"


def read_subsets(text: str) -> list[Subset]:
    """`swbd=!en_,callhm=!sw_`, say.

    Raises:
        UsageError: not of that form.
    """
    found = []
    for part in filter(None, text.split(",")):
        name, equals, prefix = part.partition("=")
        bare = prefix.removeprefix("!")
        if not (name.isidentifier() and equals and bare):
            raise UsageError(
                f"--subsets {part!r}: wanted NAME=LETTERS, or NAME=!LETTERS for all files that do "
                "not begin so: swbd=!en_,callhm=!sw_"
            )
        found.append(Subset(name, bare, prefix != bare))
    return found


def make_setup(
    stm: Path | None,
    glm: Path | None,
    data: Path | None,
    reco2file: Path | None,
    rule: str,
    acronyms: Path | None,
    subsets: str,
    overlap: int,
    nj: int,
) -> Setup:
    """The setup of the options of `score`.

    Raises:
        UsageError: no stm, an unknown rule, subsets that cannot be read, or a map of recordings
            without the set that they are of.
        UserError: a file is broken.
    """
    if stm is None:
        raise UsageError("--nist wants the reference: --stm data/dev/stm, say")
    if rule not in ctms.RULES:
        raise UsageError(f"--rule wants one of {', '.join(ctms.RULES)}, found {rule!r}")
    if reco2file is not None and data is None:
        raise UsageError("--reco2file wants --data, the set whose recordings it names")
    places = None if data is None else read_places(data, reco2file)
    letters = None if acronyms is None else ctms.read_acronyms(acronyms)
    return Setup(stm, glm, places, rule, letters, read_subsets(subsets), overlap, nj)


def ctm_points(directory: Path) -> dict[Point, Path]:
    """The ctm of each point of the sweep.

    Raises:
        UserError: there is none.
    """
    points = named_points(directory, "ctm")
    if points:
        return points
    if not (directory / "ctm").is_file():
        raise UserError(f"{directory} holds no ctm; `chainstitch decode` writes it")
    swept = named_points(directory, "hyp") or [(CENTRE_LMWT, CENTRE_WIP)]
    return {nearest_centre(swept): directory / "ctm"}


def score_nist(
    directory: Path | str, setup: Setup, choice: Choice | None = None, allow_sweep: bool = False
) -> NistResult:
    """Scores every point and writes `nist/`, replacing what an earlier scoring wrote there.

    Args:
        choice: the point that counts, chosen elsewhere; None chooses here.
        allow_sweep: choose on a test set nevertheless.

    Raises:
        UsageError: a sweep on a test set, or no ctm at the point of the choice.
        UserError: NIST's programs are not installed or failed; a broken or missing file; words of a
            file or channel that the reference does not have.
    """
    directory = Path(directory)
    sclite.check_sctk()
    points = ctm_points(directory)
    set_name = directory.resolve().name.removeprefix("decode_")
    if choice is None:
        refuse_sweep_on_test(directory, set_name, len(points), allow_sweep)
    else:
        find_point(points, choice, directory, "ctm")
    known = reference.check_stm(setup.stm)
    if setup.glm is not None:
        reference.check_glm(setup.glm)
    for subset in setup.subsets:
        if not any(subset.holds(file) for file, _ in known):
            raise UsageError(f"--subsets: {setup.stm} has no files of {subset.name}")
    with atomic_directory(directory / KIND, KIND, overwrite=True) as out:
        words = {point: _words(path, setup, known) for point, path in points.items()}
        scored = _score_points(words, setup)
        totals = {point: report.total for point, report in scored.items()}
        best = choose(totals)
        counting = best if choice is None else find_point(points, choice, directory, "ctm")
        report = scored[counting]
        lines = _labelled(choice, counting, best, totals, set_name)
        if choice is None:
            line = report.total.wer_line()
            choice = Choice(best[0], best[1], set_name, line, len(points))
        for point, path in points.items():
            name = path.name.replace("ctm", "wer", 1)
            (out / name).write_text(totals[point].wer_line() + "\n")
        _score(words[counting], setup, out / "reports")
        (out / "per_spk").write_text(per_speaker_text(report.speakers, report.total))
        for subset in setup.subsets:
            place = out / f"reports_{subset.name}"
            found = _score(words[counting], setup, place, subset)
            (place / "per_spk").write_text(per_speaker_text(found.speakers, found.total))
            lines.append(Labelled(subset.name, found.total))
        config.save(choice, out / "choice.toml")
        (out / "best_wer").write_text(report.total.wer_line() + "\n")
        (out / "summary").write_text("".join(f"{summary_line(line)}\n" for line in lines))
    return NistResult(choice, report, lines, edges(totals, best))


def summary_line(line: Labelled) -> str:
    """`LABEL: %WER ...`."""
    return f"{line.label}: {line.counts.wer_line()}"


def _labelled(
    choice: Choice | None, counting: Point, best: Point, totals: Mapping[Point, Counts], name: str
) -> list[Labelled]:
    on = name if choice is None else choice.set
    lines = [Labelled(f"{_point(counting)}, chosen on {on}", totals[counting])]
    if choice is not None and len(totals) > 1:
        label = f"{_point(best)}, the best of {len(totals)} on {name} itself, as papers report it"
        lines.append(Labelled(label, totals[best]))
    return lines


def _point(point: Point) -> str:
    return f"lmwt {point[0]:g}, wip {point[1]:g}"


def _score_points(words: Mapping[Point, str], setup: Setup) -> dict[Point, sclite.Report]:
    """The counts at each point; those of the same words are found once."""
    different = list(dict.fromkeys(words.values()))
    log.info("scoring %d points, %d of them different", len(words), len(different))

    def score(text: str) -> sclite.Report:
        with tempfile.TemporaryDirectory(prefix="chainstitch-") as place:
            return _score(text, setup, Path(place))

    with ThreadPoolExecutor(setup.nj) as pool:
        reports = dict(zip(different, pool.map(score, different), strict=True))
    return {point: reports[text] for point, text in words.items()}


def _words(path: Path, setup: Setup, known: set[tuple[str, str]]) -> str:
    """The ctm that is scored.

    Raises:
        UserError: it names what the reference does not have, which sclite cannot score.
    """
    lines: Iterable[ctms.CtmLine] = ctms.read_ctm(path)
    if setup.places is not None:
        lines = ctms.in_recordings(lines, setup.places, str(path))
    keep: Callable[[str], bool] = ctms.RULES[setup.rule]
    lines = (line for line in ctms.in_order(lines) if keep(str(line)))
    if setup.acronyms is not None:
        lines = ctms.split_acronyms(lines, setup.acronyms)
    kept = list(lines)
    if not kept:
        log.warning("%s holds no words that are scored", path)
    foreign = sorted({(line.file, line.channel) for line in kept} - known)
    if foreign:
        raise UserError(
            f"{path}: {len(foreign)} files and channels are not in {setup.stm} (the first: "
            f"{' '.join(foreign[0])}; that has {' '.join(min(known))}, say); wanted the reference "
            "of this set, and --data or --reco2file to say which recording is which file"
        )
    return "".join(f"{line}\n" for line in kept)


def _score(words: str, setup: Setup, place: Path, subset: Subset | None = None) -> sclite.Report:
    """Scores in `place`, which keeps NIST's reports, the ctm and the reference."""
    place.mkdir(exist_ok=True)
    files = {
        "stm": _of_subset(texts.read(setup.stm), subset),
        "glm": reference.NO_RULES if setup.glm is None else texts.read(setup.glm),
        "ctm": _of_subset(words, subset),
    }
    for name, content in files.items():
        (place / name).write_text(content, encoding="utf-8")
    try:
        return sclite.run_hubscr(place, "ctm", setup.overlap)
    except UserError as error:
        bare = _without_confidences(files["ctm"])
        if bare == files["ctm"]:
            raise UserError(f"{setup.stm}: {error}") from None
    # sclite crashes where somebody has no word with a confidence; they change no count
    (place / "ctm").write_text(bare, encoding="utf-8")
    try:
        report = sclite.run_hubscr(place, "ctm", setup.overlap)
    except UserError as error:
        raise UserError(f"{setup.stm}: {error}") from None
    log.warning("sclite failed with the confidences of the ctm, and scored without them")
    return report


def _without_confidences(ctm: str) -> str:
    return "".join(" ".join(line.split()[:5]) + "\n" for line in ctm.splitlines())


def _of_subset(text: str, subset: Subset | None) -> str:
    if subset is None:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith(";;") or subset.holds(line))
