"""Files that comments and docstrings name are there, so that a reader who follows finds them."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

NAME = re.compile(r"[\w/-]*\w\.py\b")
# files of Kaldi, and one of an example
FOREIGN = {
    "acoustic_model.py", "basic_layers.py", "common.py", "composite_layers.py", "convolution.py",
    "dropout_schedule.py", "gen_topo.py", "lstm.py", "make_lexicon_fst.py", "train.py", "utils.py",
    "local/work.py", "make_lexicon_fst_silprob.py",
}  # fmt: skip


def named(text: str) -> Iterator[str]:
    """The files that comments and strings of a module name."""
    in_f_strings = getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)  # from Python 3.12 on
    kinds = {tokenize.COMMENT, tokenize.STRING, in_f_strings}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            yield from (name.lstrip("./") for name in NAME.findall(token.string))


def is_there(name: str, files: set[str]) -> bool:
    """Whether a file has that name, or that end of its path."""
    return any(f"/{file}".endswith(f"/{name}") for file in files)


def test_names_of_files_are_found() -> None:
    text = '"""As a.py says (b/c-d.py)."""\nx = 1  # ./e.py, not f.pyc\n'
    assert list(named(text)) == ["a.py", "b/c-d.py", "e.py"]
    assert is_there("b/c.py", {"a/b/c.py"}) and not is_there("c.py", {"a/bc.py"})


def test_every_file_that_is_named_exists(repository: Path) -> None:
    tops = ("nnet", "utils", "bin", "egs", "tests")
    paths = {top: sorted((repository / top).rglob("*.py")) for top in tops}
    files = {path.relative_to(repository).as_posix() for top in tops for path in paths[top]}
    texts = {
        path.relative_to(repository).as_posix(): set(named(path.read_text(encoding="utf-8")))
        for top in ("nnet", "utils", "bin")
        for path in paths[top]
    }
    for page in ("README.md", "egs/README.md"):  # those of nnet/README.md: tests/docs/test_pages.py
        texts[page] = set(NAME.findall((repository / page).read_text(encoding="utf-8")))
    missing = {
        (file, name)
        for file, names in texts.items()
        for name in names
        if not is_there(name, files)
        and name not in FOREIGN
        and not name.startswith(("libs/", "steps/"))  # Kaldi's
    }
    assert missing == set()
