"""The search graph of a model and a lang directory, built once and kept beside the model.

`EXP/graph_<lang>_<hash>/HLG.fst`: the hash is of the lang files that the graph is made from, and of
the leaves of the model's context tree if it has one, so that a changed lexicon or grammar gets a
graph of its own, and two jobs may ask for the same one at a time. `HLG.sha256` beside it is of the
graph itself: one that something else was written over would be searched without a word, or crash.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.hmm.topology import Leaves, hmm_fst, monophones
from chainstitch.utils.lang.compose import build_hlg, read_fst, write_fst
from chainstitch.utils.lang.directory import (
    PHONES,
    Lang,
    check_phones,
    read_lang,
    read_table,
    real_phones,
)
from chainstitch.utils.lock import locked

log = logging.getLogger(__name__)

DIGEST = "HLG.sha256"
SOURCES = ("words.txt", "phones.txt", "topo", "L_disambig.fst", "G.fst")


@dataclass(frozen=True)
class Graph:
    """HLG and what is needed to read its labels. Pickles without the FST, which is read again.

    Attributes:
        path: of HLG.fst.
        words: word id -> word.
        pronunciations: word id -> its pronunciations in phone ids.
        leaves: which pdfs a phone has, by the phones around it.
        silence: the optional silence.
    """

    path: Path
    words: dict[int, str]
    pronunciations: dict[int, list[tuple[int, ...]]]
    leaves: Leaves
    silence: int = 1

    @property
    def num_pdfs(self) -> int:
        """How many columns the log-likelihoods must have."""
        return self.leaves.num_pdfs

    @cached_property
    def entry_pdfs(self) -> frozenset[int]:
        """The pdfs that a phone can begin with; with a tree, it may go on with them, too."""
        return frozenset(self.leaves.table[..., 0].ravel().tolist())

    @cached_property
    def hlg(self) -> Any:
        """The `kaldifst.StdVectorFst`: input labels pdf + 1, output labels words."""
        made_by = "chainstitch decode (after removing it)"
        return read_fst(self.path, made_by, most_input=self.num_pdfs)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "hlg"}


def load_graph(exp: Path | str, lang: Path | str, leaves: Leaves | None = None) -> Graph:
    """The graph of `exp` for the lang directory `lang`, built when it is not there yet.

    Args:
        leaves: of the model's context tree; default: it has none.

    Raises:
        UsageError: `lang` is not a lang directory, or `exp` does not exist.
        UserError: a file of `lang` is damaged, its phones are not those that `exp` was trained
            with, or the graph would be empty.
    """
    exp, known = Path(exp), fitting_lang(exp, lang)
    directory = exp / f"graph_{Path(lang).resolve().name}_{digest(known.path, leaves)}"
    path = directory / "HLG.fst"
    if not path.is_file():
        with locked(directory, wait=True):  # another job may be building it
            if not path.is_file():
                _build(path, known, leaves)
    else:
        log.info("using the graph in %s", directory)
        _check_unchanged(path)
    return make_graph(path, known, leaves)


def fitting_lang(exp: Path | str, lang: Path | str) -> Lang:
    """The lang directory `lang`, whose phones are those that `exp` was trained with.

    Raises:
        UsageError, UserError: as `load_graph`.
    """
    exp, known = Path(exp), read_lang(lang)
    if not exp.is_dir():
        raise UsageError(f"{exp} does not exist; give a directory that `chainstitch train` wrote")
    if (exp / PHONES).is_file():  # a directory that nothing was trained in fits any lang
        wanted = real_phones(read_table(exp / PHONES))
        check_phones(known, wanted, exp, "decode with a lang directory of the phones of training")
    return known


def _build(path: Path, lang: Lang, leaves: Leaves | None) -> None:
    log.info("building the graph %s", path)
    with atomic_directory(path.parent, "graph") as temporary:
        hmm = hmm_fst(lang.num_phones, lang.disambiguation, leaves)
        hlg = build_hlg(hmm, lang.fst("L_disambig.fst"), lang.fst("G.fst"))
        write_fst(hlg, temporary / path.name)
        (temporary / DIGEST).write_text(_digest_of(temporary / path.name) + "\n")


def _check_unchanged(path: Path) -> None:
    """That HLG.fst is what `_build` wrote, if that has left its digest.

    The graphs of earlier versions have none.

    Raises:
        UserError: it is not.
    """
    digest = path.with_name(DIGEST)
    if digest.is_file() and digest.read_text("ascii", "replace").strip() != _digest_of(path):
        raise UserError(
            f"{path} is damaged: it is not what was written there; delete {path.parent}, and it "
            "will be built again"
        )


def _digest_of(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_graph(path: Path, lang: Lang, leaves: Leaves | None = None) -> Graph:
    """The graph in `path`, with the tables of `lang`."""
    return Graph(
        path=path,
        words={number: word for word, number in lang.words.items()},
        pronunciations=lang.pronunciations,
        leaves=leaves or monophones(lang.num_phones),
        silence=lang.silence,
    )


def digest(lang: Path, leaves: Leaves | None = None) -> str:
    """Tells graphs apart: of the files of the lang directory that count, and the tree's leaves."""
    found = hashlib.sha256()
    for name in SOURCES:
        content = (lang / name).read_bytes()
        found.update(f"{name} {len(content)}\n".encode() + content)
    if leaves is not None:
        table = np.ascontiguousarray(leaves.table, dtype="<i8")
        found.update(f"leaves {table.shape} {leaves.num_pdfs}\n".encode() + table.tobytes())
    return found.hexdigest()[:12]
