#!/usr/bin/env python3
"""A training config with an i-vector beside what its first layer takes, as Kaldi's recipes have it.

In the xconfig the input i-vector comes to be, and the first `input=Append(-2,-1,0,1,2)`, of numbers
only, becomes `input=Append(-2,-1,0,1,2,ReplaceIndex(ivector, t, 0))`. All else stays.

Example: with_ivectors.py conf/tdnn_lstm_1a.toml conf/ivector.toml --out exp/conf/voiced.toml
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.outputs import check_file


def with_ivectors(text: str, dim: int) -> str:
    """The config's text with the i-vector of `dim` in it."""
    text, inputs = re.subn(
        r"^(?=input name=input )", f"input name=ivector dim={dim}\n", text, flags=re.M
    )
    text, splices = re.subn(
        r"(input=Append\([-0-9, ]+)\)", r"\1,ReplaceIndex(ivector, t, 0))", text, count=1
    )
    if (inputs, splices) != (1, 1):
        raise UserError(
            "wanted an xconfig with one line `input name=input ...`, and a first layer with "
            "input=Append(-1,0,1) or the like"
        )
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("conf", type=Path, help="a config of `chainstitch train`")
    parser.add_argument("ivector", type=Path, help="the config of `chainstitch ivectors train`")
    parser.add_argument("--out", type=Path, required=True, help="the config to write, or replace")
    options = parser.parse_args()
    try:
        check_file(options.out, None, True, [options.conf, options.ivector])
    except UserError as error:
        print(f"with_ivectors.py: error: {error}", file=sys.stderr)
        return error.exit_code
    dim = tomllib.loads(options.ivector.read_text(encoding="utf-8"))["dim"]
    try:
        text = with_ivectors(options.conf.read_text(encoding="utf-8"), dim)
    except UserError as error:
        print(f"with_ivectors.py: error: {options.conf}: {error}", file=sys.stderr)
        return error.exit_code
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(options.out) as stream:
        stream.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
