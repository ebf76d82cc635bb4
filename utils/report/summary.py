"""What a directory of ours holds, in a few numbers: data set, lang directory or experiment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError

Summary = dict[str, Any]


def summarise(path: Path | str) -> Summary:
    """Plain values for JSON; the key "kind" is "data", "lang" or "experiment".

    Raises:
        UsageError: no such directory, or one that no command of ours wrote.
        UserError: its files are damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"{path} is not a directory; give data/<set>, data/lang or exp/<name>")
    kinds: list[tuple[tuple[str, ...], Callable[[Path], Summary]]] = [
        (("cuts.jsonl.gz",), _data),
        (("words.txt", "phones.txt"), _lang),
        (("train.jsonl",), _experiment),
        (("config.toml",), _experiment),
    ]
    for files, read in kinds:
        if all((path / file).is_file() for file in files):
            return {"path": str(path), **read(path)}
    raise UsageError(
        f"{path} holds neither cuts.jsonl.gz nor words.txt nor train.jsonl; "
        "give data/<set>, data/lang or exp/<name>"
    )


def lines(summary: Summary) -> list[str]:
    """The summary for a person, one `name: value` a line; what is absent is left out."""
    shown = {key.replace("_", " "): value for key, value in summary.items() if value is not None}
    width = max(map(len, shown))
    return [f"{key + ':':{width + 1}} {_text(value)}" for key, value in shown.items()]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)


def _data(path: Path) -> Summary:
    from chainstitch.utils.data.manifests import cut_text, read_cuts

    cuts = read_cuts(path)
    words = [word for cut in cuts for word in cut_text(cut).split()]
    supervisions = [supervision for cut in cuts for supervision in cut.supervisions]
    return {
        "kind": "data",
        "cuts": len(cuts),
        "hours": round(sum(cut.duration for cut in cuts) / 3600, 4),
        "longest_seconds": round(max(cut.duration for cut in cuts), 3),
        "speakers": len({s.speaker for s in supervisions}),
        "words": len(words),
        "distinct_words": len(set(words)),
        "sampling_rates": ", ".join(str(r) for r in sorted({cut.sampling_rate for cut in cuts})),
        "features": all(cut.has_features for cut in cuts),
    }


def _lang(path: Path) -> Summary:
    from chainstitch.utils.lang.directory import read_lang

    lang = read_lang(path)
    return {
        "kind": "lang",
        "words": len(lang.lexicon),
        "phones": lang.num_phones,
        "lexicon_entries": sum(len(prons) for prons in lang.lexicon.values()),
        "pdfs": 2 * lang.num_phones,
    }


def _experiment(path: Path) -> Summary:
    from chainstitch.utils.score.train_log import number, read_train_log

    rows = read_train_log(path / "train.jsonl") if (path / "train.jsonl").is_file() else []
    last = rows[-1] if rows else {}
    parameters = number(last, "parameters")
    return {
        "kind": "experiment",
        "iterations": len(rows),
        "parameters": None if parameters is None else int(parameters),
        "train_objf": number(last, "train_objf"),
        "valid_objf": number(last, "valid_objf"),
        "models": len(list(path.glob("*.pt"))),
        "final": (path / "final.pt").is_file(),
        "wer": _lines(path, "best_wer"),
        "err": _lines(path, "best_err"),
    }


def _lines(path: Path, file: str) -> dict[str, str] | None:
    """What the scored sets of an experiment have in a file, by name; None of none."""
    found = [directory / file for directory in sorted(path.glob("decode_*"))]
    return {
        place.parent.name.removeprefix("decode_"): texts.read(place).strip()
        for place in found
        if place.is_file()
    } or None
