"""What a command may write where, and what `--overwrite` may replace: one rule for all of them.

Let O be an output, I_1, I_2, ... all that the command reads, and a <= b mean that a is b or lies in
it, by what the file system says (links, `..` and mounts see through each other), not by how the two
were typed.

A directory O must be apart from every input, whether O exists or not, --overwrite or not:

    neither O <= I_k nor I_k <= O                                                       (1)

and what is there already, unless it is an empty directory, is replaced only when

    --overwrite is given, and O holds the mark of the kind that is to be written.       (2)

The mark is a small file `.chainstitch` that says of what kind a directory is. `atomic_directory`
(files.py), which makes all of them, writes it, so that no command can forget to. What has no mark
was not made by this program, or by a version without marks (0.2.0): it is for its owner to delete.
A symbolic link is never replaced, nor what it points to: that may be somebody's other disk. While
the new directory is made the old one is whole, and a kill loses neither (files.py).

One exception to (1): what is made from an experiment (decode, align, classify) may lie in it, as
EXP/decode_dev does. It may not be it, or contain it, or lie in what training keeps there (log,
numerators, ...) or in another output there (EXP/decode_dev/x).

For a file O it is the same with two differences. It may be new in an input directory
(EXP/model.onnx, DATA/ivectors.h5). And a file has no mark: what can be replaced is told by its
first and last bytes (FILES), which a damaged file still has as a rule. A file of a kind that cannot
be told so is replaced where it is asked for, but never in an input directory.

All of it is looked at before anything is written, and (2) again at the end, before the old one is
taken away.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from chainstitch.utils.errors import UsageError
from chainstitch.utils.lock import locked
from chainstitch.utils.unfinished import is_replaced

MARK = ".chainstitch"

# kind -> what makes directories of it
DIRECTORIES = {
    "set": "prepare, data or cleanup cut",
    "images": "prepare",
    "dictionary": "prepare or lang-probs",
    "text": "prepare",
    "features": "features",
    "lang": "lang",
    "tree": "tree",
    "ivectors": "ivectors train",
    "experiment": "train",
    "alignment": "align",
    "decoding": "decode or rescore",
    "classification": "classify",
    "graph": "decode",
    "nist": "score --nist",
    "edits": "cleanup decode",
    "kaldi": "data to-kaldi",
    "corpus": "a recipe",
}

# kind -> what the first or last bytes of such a file hold
FILES = {
    "denominator graph": rb"\APK.*(src|leaves|initial)\.npy",
    "language model": rb"\A(\s*\\data\\|\x1f\x8b\x08\x08.{6}lm\.arpa\x00)",
    "FST text": rb"\A(\d+ \d+ \d+ \S+\n|\d+ \S+\n)",
    "i-vectors": rb"\A\x89HDF\r\n\x1a\n.*extractor",
    "exported model": rb"chainstitch\.json",
    "picture": rb"\A\x89PNG\r\n\x1a\n.*tEXtSoftware\x00chainstitch",
    "results": rb"\A\s*(\Z|#|<!--)|<!-- chainstitch compare",
}
LOOK_BYTES = 65536  # at the beginning and at the end of a file

# what training and recipes keep in an experiment, besides files
OF_TRAINING = ("jobs", "log", "numerators", "q", "tensorboard")

Given = Path | str | None


def check_directory(
    out: Path | str,
    kind: str,
    overwrite: bool = False,
    inputs: Iterable[Given] = (),
    experiment: Given = None,
) -> None:
    """That the directory `out` may be written.

    Args:
        kind: of DIRECTORIES.
        inputs: what the command reads, files and directories; None: not given.
        experiment: that of `inputs` in which `out` may lie.

    Raises:
        UsageError: it may not; says why, and what to do.
    """
    out = Path(out)
    for given in inputs:
        if given is not None:
            check_apart(out, given, experiment is not None and Path(given) == Path(experiment))
    if _is_around_us(out):
        raise UsageError(
            f"{out} is, or contains, the directory that you are in, and cannot be made anew; give "
            "the output another name"
        )
    if is_replaced(out):
        with locked(out, nested=True):  # gives it its name back
            pass
    if not os.path.lexists(out) or (not out.is_symlink() and _is_empty(out)):
        return
    wrong = _what_is_wrong(out, kind)
    if wrong:
        raise _in_the_way(out, wrong)
    if not overwrite:
        raise _exists(out)


def check_file(
    out: Path | str, kind: str | None, overwrite: bool = False, inputs: Iterable[Given] = ()
) -> None:
    """That the file `out` may be written; arguments and errors as of `check_directory`.

    Args:
        kind: of FILES; None: one that cannot be told from others.
    """
    out = Path(out)
    above, known = _lineage(out), [(given, _identity(Path(given))) for given in inputs if given]
    for given, this in known:
        if this == above[0]:
            raise UsageError(
                f"{out} is an input, too ({given}); nothing was written: give the output another "
                "name"
            )
    if not os.path.lexists(out):
        return
    mode = out.lstat().st_mode
    if not stat.S_ISREG(mode):
        what = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory"}
        raise _in_the_way(out, f"it is {what.get(stat.S_IFMT(mode), 'no plain file')}")
    for given, this in known:
        if this in above and kind is None:
            raise _in_the_way(out, f"it lies in the input {given}")
    if kind is not None and not _looks_like(out, kind):
        raise _in_the_way(out, f"it does not look like a file of this kind ({kind})")
    if not overwrite:
        raise _exists(out)


def check_apart(out: Path, given: Path | str, may_lie_in: bool = False) -> None:
    """That neither is the other or lies in it: (1).

    Args:
        may_lie_in: `given` is an experiment, in which `out` may have a place of its own.

    Raises:
        UsageError: one does.
    """
    given = Path(given)
    of_out, of_given = _lineage(out), _lineage(given)
    if of_out[0] == of_given[0]:
        relation = "is an input, too"
    elif of_out[0] in of_given:
        relation = "contains an input"
    elif of_given[0] not in of_out:
        return
    elif may_lie_in:
        _check_place_in_experiment(out, of_out.index(of_given[0]))
        return
    else:
        relation = "lies in an input"
    named = "" if relation.startswith("is") and str(out) == str(given) else f" ({given})"
    raise UsageError(f"{out} {relation}{named}; nothing was written: give the output another name")


def check_keeps(out: Path | str, files: Iterable[Path | str]) -> None:
    """That no file is lost when the directory `out` is replaced: recordings, many of them, say.

    Raises:
        UsageError: one lies in it.
    """
    out = Path(out)
    if not out.is_dir() or _is_empty(out):
        return
    whose, known = _identity(out), {}
    for file in files:
        parent = os.path.dirname(os.path.realpath(file))
        if parent not in known:
            known[parent] = whose in _lineage(Path(parent))
        if known[parent]:
            raise UsageError(
                f"{out} holds {file}, which is read; nothing was written: give the output another "
                "name, or move the recordings"
            )


def write_mark(directory: Path, kind: str) -> None:
    """Says in a new directory of what kind it is."""
    if kind not in DIRECTORIES:
        raise ValueError(f"{kind!r} is not one of {', '.join(DIRECTORIES)}")
    text = f"# chainstitch made this directory, and --overwrite may replace it.\n{kind}\n"
    (directory / MARK).write_text(text, encoding="utf-8")


def marked_kind(directory: Path) -> str | None:
    """What the mark in a directory says; None: it has none."""
    mark = directory / MARK
    if mark.is_symlink() or not mark.is_file():
        return None
    lines = mark.read_bytes()[:200].decode(errors="replace").splitlines()
    return lines[1] if len(lines) == 2 and lines[1] in DIRECTORIES else None


def experiment_around(directory: Path | str) -> Path | None:
    """The experiment that a directory lies in, by its mark."""
    for above in Path(os.path.realpath(directory)).parents:
        if marked_kind(above) == "experiment":
            return above
    return None


def _what_is_wrong(out: Path, kind: str) -> str:
    if out.is_symlink():
        return "it is a symbolic link"
    if not out.is_dir():
        return "it is a file"
    found = marked_kind(out)
    if found is None:
        return f"it was not made by chainstitch {DIRECTORIES[kind]} (no {MARK} in it)"
    return "" if found == kind else f"it is of another kind ({found}, not {kind})"


def _in_the_way(out: Path, why: str) -> UsageError:
    return UsageError(
        f"{out} exists already and nothing in it was touched, for {why}, and --overwrite does not "
        "replace such; delete it yourself, or give the output another name"
    )


def _exists(out: Path) -> UsageError:
    return UsageError(
        f"{out} exists already and nothing in it was touched; pass --overwrite to replace it"
    )


def _check_place_in_experiment(out: Path, depth: int) -> None:
    """That `out`, so many steps below an experiment, is in none of its directories."""
    place = Path(os.path.realpath(out))
    between = [*place.parents][: depth - 1]  # innermost first
    top = [place, *between][-1]
    if top.name in OF_TRAINING:
        raise UsageError(
            f"{out} is where training keeps its own ({top.name}); give the output another name, "
            f"{top.with_name('decode_dev')} say"
        )
    for one in between:
        if marked_kind(one) is not None:
            raise UsageError(
                f"{out} lies in {one}, which chainstitch {DIRECTORIES[marked_kind(one) or '']} "
                "made; give the output another name"
            )


def _is_around_us(out: Path) -> bool:
    try:
        return _identity(out) in _lineage(Path.cwd())
    except FileNotFoundError:  # it is gone
        return False


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _identity(path: Path) -> object:
    """Equal for two names of one file or directory, there or not."""
    real = os.path.realpath(path)
    try:
        found = os.stat(real)
    except OSError:
        return real
    return found.st_dev, found.st_ino


def _lineage(path: Path) -> list[object]:
    """Identities of a path and of all that it lies in."""
    real = Path(os.path.realpath(path))
    return [_identity(place) for place in (real, *real.parents)]


def _looks_like(path: Path, kind: str) -> bool:
    with open(path, "rb") as stream:
        head = stream.read(LOOK_BYTES)
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(len(head), size - LOOK_BYTES))
        ends = head + stream.read()
    return not size or re.search(FILES[kind], ends, re.DOTALL) is not None
