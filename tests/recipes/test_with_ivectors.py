"""A config of egs/digits with i-vectors added: the same network, with one more input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chainstitch.nnet.nets import Network
from chainstitch.nnet.tasks.speech_config import SpeechConfig
from chainstitch.utils import config

DIGITS = Path(__file__).resolve().parents[2] / "egs" / "digits"
NETS = ("tdnn_1a", "tdnn_lstm_1a", "blstm_1a", "lfr_ce_tdnn_lstm_1a", "lfr_ce_blstm_1a")


def add(conf: Path, out: Path) -> subprocess.CompletedProcess[str]:
    script = DIGITS / "local" / "with_ivectors.py"
    command = [sys.executable, script, conf, DIGITS / "conf" / "ivector.toml", "--out", out]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("name", NETS)
def test_the_first_layer_also_sees_the_i_vector(tmp_path: Path, name: str) -> None:
    conf, out = DIGITS / "conf" / f"{name}.toml", tmp_path / "new" / "conf.toml"
    assert add(conf, out).returncode == 0
    before, after = config.load(conf, SpeechConfig), config.load(out, SpeechConfig)
    plain, voiced = (Network(c.network.xconfig, 20) for c in (before, after))
    assert (plain.ivector_dim, voiced.ivector_dim) == (0, 50)
    shapes = [{n: p.shape for n, p in net.named_parameters()} for net in (plain, voiced)]
    [changed] = [n for n in shapes[0] if shapes[0][n] != shapes[1].pop(n)]
    assert not shapes[1]
    assert voiced.num_parameters() - plain.num_parameters() == 50 * shapes[0][changed][0]
    after.network.xconfig = before.network.xconfig
    assert after == before


def test_a_config_without_a_place_for_it_is_refused(tmp_path: Path) -> None:
    conf, out = tmp_path / "conf.toml", tmp_path / "new.toml"
    conf.write_text((DIGITS / "conf" / "tdnn_1a.toml").read_text().replace("Append(", "Sum("))
    done = add(conf, out)
    assert done.returncode == 1 and not out.exists()
    assert done.stderr.startswith(f"with_ivectors.py: error: {conf}: wanted an xconfig with")
