"""Utterances with the same words, thinned out: of "yeah" and "uh-huh" a corpus has thousands.

Kaldi's rule for Switchboard. Let a text occur n times, and N be the limit. Of n < N all are kept;
otherwise each is kept with probability N/n. The draws come from a small generator, so that the
subset is the same everywhere: k starts at 0, and for each utterance with n >= N, in the order of
ids,

    k <- (k + 103349) mod 71147,    kept if k / 71147 < N / n

Of n = N nothing is lost, as k / 71147 < 1, but the generator takes its step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from chainstitch.utils.data.manifests import cut_text
from chainstitch.utils.data.set_stream import rows, write_rows
from chainstitch.utils.outputs import check_directory

STEP, MODULUS = 103349, 71147


def remove_duplicates(
    data: Path | str, out: Path | str, most: int, overwrite: bool = False
) -> tuple[int, int]:
    """Writes the set `out`, in which a text of `data` comes about `most` times, or less.

    Returns:
        how many utterances `data` and `out` have.

    Raises:
        UsageError: `out` cannot be written, or `data` is no set. UserError: it is damaged.
    """
    check_directory(out, "set", overwrite, [data])
    counts = Counter(cut_text(row.cut) for row in rows(data))
    keeps = kept((cut_text(row.cut) for row in rows(data)), counts, most)
    items = (row.item() for row, keep in zip(rows(data), keeps, strict=True) if keep)
    return counts.total(), write_rows(out, items, overwrite)


def kept(texts: Iterable[str], counts: Mapping[str, int], most: int) -> Iterator[bool]:
    """Whether each text is kept.

    Args:
        texts: in the order of ids. counts: how often each of them occurs.
    """
    k = 0
    for text in texts:
        occurs = counts[text]
        if occurs >= most:
            k = (k + STEP) % MODULUS
        yield occurs < most or k / MODULUS < most / occurs
