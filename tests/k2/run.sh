#!/usr/bin/env bash
# The tests of what goes through k2, in an environment of their own with a k2 that loads.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

torch=1.13.1 # what k2 1.23.4 was built for
venv=${CHAINSTITCH_K2_VENV:-build/k2-venv}
usage="Usage: tests/k2/run.sh [pytest arguments]
Makes $venv on first use (torch $torch and k2 1.23.4 for Python 3.11 on Linux x86_64; 1.9 GB to fetch,
4 GB of disk, some minutes), then compares k2's forward-backward, decoding and training with the native
ones. No part of tests/run.sh, where these tests skip unless a k2 loads.
  CHAINSTITCH_K2_VENV   another place for the environment
  CHAINSTITCH_PYTHON    the Python 3.11 that makes it (default python3.11)
  CHAINSTITCH_PIP_ARGS  more arguments for pip install, split at blanks"

fail() {
  echo "tests/k2/run.sh: error: $1" >&2
  exit 1
}

case ${1:-} in
  --help | -h)
    echo "$usage"
    exit 0
    ;;
esac

mark=$venv/chainstitch-k2-setup
sum=$({ echo "torch $torch" && cat pyproject.toml utils/constraints.txt tests/k2/k2.txt; } | cksum)

install() {
  local more=()
  read -r -a more <<<"${CHAINSTITCH_PIP_ARGS:-}"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check "${more[@]}" "$@" >&2 ||
    fail "pip could not install what is needed (its message is above); run this again then"
}

make_venv() {
  local python=${CHAINSTITCH_PYTHON:-python3.11} version packages
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "found no $python; install Python 3.11 or name it in CHAINSTITCH_PYTHON"
  # the package wants 3.11 or newer, and this k2 has no wheel for one newer than 3.11
  [[ $version == 3.11 && $(uname -sm) == "Linux x86_64" ]] ||
    fail "wanted Python 3.11 on Linux x86_64, found $version on $(uname -sm); CHAINSTITCH_PYTHON can name another"
  if [[ -e $venv && ! -e $mark ]]; then
    fail "$venv exists and was not made here; delete it, or name another place in CHAINSTITCH_K2_VENV"
  fi
  echo "Setting up k2 in $venv (once; 1.9 GB to fetch, 4 GB of disk, some minutes)." >&2
  rm -rf "$venv"
  mkdir -p "$venv"
  echo unfinished >"$mark"
  "$python" -m venv "$venv" || fail "$python cannot make a virtual environment; install its venv module"
  # what the package wants, at the versions it is tested with, but for torch and numpy
  mapfile -t packages < <("$python" -c '
import re, tomllib
with open("pyproject.toml", "rb") as stream:
    wanted = tomllib.load(stream)["project"]["dependencies"]
print(*(w for w in wanted if re.match(r"[\w-]+", w)[0] not in ("torch", "numpy")), sep="\n")')
  grep -vE '^(torch|numpy|networkx)==' utils/constraints.txt >"$venv/constraints.txt"
  # six: torch 1.13 imports it, through tensorboard, and nothing declares it; graphviz: k2 does
  install --constraint "$venv/constraints.txt" "torch==$torch" "numpy<2" six graphviz pytest hypothesis \
    "${packages[@]}"
  install --no-deps --require-hashes -r tests/k2/k2.txt
  install --no-deps -e .
  "$venv/bin/python" -c 'import k2' || fail "k2 was installed and does not load; its message is above"
  echo "$sum" >"$mark"
}

if [[ $(cat "$mark" 2>/dev/null) != "$sum" ]]; then make_venv; fi
export CHAINSTITCH_REQUIRE_K2=1
exec "$venv/bin/python" -m pytest tests/k2 tests/nnet/chain tests/utils/decode tests/bin/test_decode.py \
  tests/bin/test_doctor.py "$@"
