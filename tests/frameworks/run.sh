#!/usr/bin/env bash
# Trains by Backstitch in other frameworks, in an environment of their own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=${CHAINSTITCH_FRAMEWORKS_VENV:-build/frameworks-venv}
usage="Usage: tests/frameworks/run.sh
Makes $venv on first use (torch, Lightning and Hugging Face's Trainer; some minutes, and 2 GB of disk
with a CPU build of torch), then runs the examples in tests/frameworks. No part of tests/run.sh.
  CHAINSTITCH_FRAMEWORKS_VENV   another place for the environment
  CHAINSTITCH_PYTHON            the Python that makes it (default python3)
  CHAINSTITCH_PIP_ARGS          more arguments for pip install, split at blanks"

fail() {
  echo "tests/frameworks/run.sh: error: $1" >&2
  exit 1
}

case ${1:-} in
  --help | -h)
    echo "$usage"
    exit 0
    ;;
  ?*) fail "unknown argument '$1'; --help tells more" ;;
esac

mark=$venv/chainstitch-frameworks-setup
sum=$(cat pyproject.toml utils/constraints.txt tests/frameworks/requirements.txt | cksum)

make_venv() {
  local python=${CHAINSTITCH_PYTHON:-python3} more=()
  if [[ -e $venv && ! -e $mark ]]; then
    fail "$venv exists and was not made here; delete it, or name another place in CHAINSTITCH_FRAMEWORKS_VENV"
  fi
  echo "Setting up the frameworks in $venv (once; some minutes)." >&2
  rm -rf "$venv"
  mkdir -p "$venv"
  echo unfinished >"$mark"
  "$python" -m venv "$venv" || fail "$python cannot make a virtual environment; install its venv module"
  read -r -a more <<<"${CHAINSTITCH_PIP_ARGS:-}"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check "${more[@]}" \
    --constraint utils/constraints.txt -r tests/frameworks/requirements.txt -e . >&2 ||
    fail "pip could not install what is needed (its message is above); run this again then"
  echo "$sum" >"$mark"
}

if [[ $(cat "$mark" 2>/dev/null) != "$sum" ]]; then make_venv; fi
export HF_HUB_OFFLINE=1 # the examples fetch nothing
for example in torch_scheduler lightning_example hf_trainer_example; do
  "$venv/bin/python" "tests/frameworks/$example.py"
done
