"""The paper's Table 1: its rows are what the recipes train, and it takes what they left."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

EGS = Path(__file__).resolve().parents[2] / "egs"
CORPORA = tomllib.loads((EGS / "table1.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def table1() -> ModuleType:
    spec = importlib.util.spec_from_file_location("table1", EGS / "table1.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("corpus", CORPORA)
def test_rows_are_what_the_recipe_trains(corpus: str) -> None:
    sizes = (EGS / corpus / "conf" / "sizes.sh").read_text(encoding="utf-8")
    nets = re.search(r'^nets="(.*)"$', (EGS / corpus / "run.sh").read_text(), re.MULTILINE)
    rows = CORPORA[corpus]["rows"]
    assert nets and {row["net"] for row in rows} == set(nets[1].split())
    for row in rows:
        conf = tomllib.loads((EGS / corpus / "conf" / f"{row['net']}.toml").read_text())
        backstitch = conf["optim"]["backstitch"]
        assert (backstitch["scale"], backstitch["interval"]) == (row["alpha"], row["interval"])
        kind = "ce" if row["net"].startswith("lfr_ce") else "chain"
        assert conf["training"].get("criterion") == ("cross_entropy" if kind == "ce" else None)
        for name, passes in zip((kind, f"{kind}_passes_backstitch"), row["passes"], strict=True):
            name = f"{kind}_passes" if name == kind else name
            assert re.search(rf"^{name}={passes}\b", sizes, re.MULTILINE), name
        assert conf["training"]["passes"] == row["passes"][1]


def test_ours_are_means_over_the_seeds_that_were_scored(table1: ModuleType, tmp_path: Path) -> None:
    lines = "lmwt 9, wip 0, chosen on dev: %WER {} [ 1 / 9, 0 ins, 0 del, 1 sub ]\n{}"
    itself = "lmwt 8, wip 0, the best of 9 on test itself, as papers report it: %WER {} [ 1 / 9 ]\n"
    for seed, wer in enumerate((8.0, 8.4)):
        place = tmp_path / "exp" / f"tdnn_lstm_1v_backstitch_s{seed}" / "decode_test_big" / "nist"
        place.mkdir(parents=True)
        (place / "summary").write_text(lines.format(9.0, itself.format(wer)))
    place = tmp_path / "exp" / "tdnn_lstm_1v_backstitch_s0" / "decode_dev_big" / "nist"
    place.mkdir(parents=True)
    (place / "summary").write_text(lines.format(9.1, ""))
    page = "\n".join(table1.table({"tedlium": CORPORA["tedlium"]}, {"tedlium": tmp_path}))
    assert "| 8.3 / 7.8 | 9.1 (n = 1) | 8.2 ± 0.3 (n = 2) |" in page
    assert "| LF-MMI | TDNN-LSTM | baseline | 12 | 9.4 / 8.8 |  |  | 7 |" in page
