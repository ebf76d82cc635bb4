#!/usr/bin/env bash
# The whole test suite, setting itself up: shell lint, ruff, mypy, unit tests, then the recipes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage="Usage: tests/run.sh [--lint-only | --unit-only | --faults-only | --recipes-only] [--thorough] [pytest arguments]
  --lint-only      shellcheck, ruff and mypy (a minute)
  --unit-only      the same and the unit tests (some minutes)
  --faults-only    what breaks commands and readers: tests/faults and tests/fuzz (some minutes)
  --recipes-only   the recipes alone (some minutes)
  --thorough       an argument of pytest: killed, forked and parallel trainings at length and in all their
                   variants (some minutes more); CHAINSTITCH_TEST_KILLS=200 sets how many kills at random
                   and CHAINSTITCH_FUZZ=100 tries a hundred times as many mutated files
Tests run in two processes, file by file and all recipes in one of them; -n 0 runs them one after the
other, as pytest by itself does.
CHAINSTITCH_DATA names the directory of the corpora (default ../shared/data); tests that need a corpus
skip without it, or fail with CHAINSTITCH_REQUIRE_DATA=1."

what=all
case ${1:-} in
  --help | -h)
    echo "$usage"
    exit 0
    ;;
  --lint-only | --unit-only | --faults-only | --recipes-only)
    what=${1%-only}
    what=${what#--}
    shift
    ;;
esac

. utils/setup.sh
chainstitch_setup test mini export
bin=$(dirname "$(command -v chainstitch)")
PATH=$bin:$PATH

if [[ $what != recipes && $what != faults ]]; then
  echo "== shellcheck"
  mapfile -t scripts < <(find .ci egs tests utils \( -name data -o -name exp -o -name corpus \) -path 'egs/*' -prune \
    -o -type f \( -name '*.sh' -o -path .ci/run \) -print)
  shellcheck -x -P SCRIPTDIR "${scripts[@]}"
  echo "== ruff"
  ruff check .
  ruff format --check .
  echo "== mypy"
  mkdir -p build/types/chainstitch # type checkers see the installed names through links
  for part in nnet bin utils; do ln -sfn "../../../$part" "build/types/chainstitch/$part"; done
  mypy -p chainstitch.nnet -p chainstitch.bin -p chainstitch.utils
fi

echo "== pytest"
case $what in
  lint) exit 0 ;;
  unit) exec python -m pytest -n 2 -m "not recipe and not fault" "$@" ;;
  faults) exec python -m pytest -n 2 -m fault "$@" ;;
  recipes) exec python -m pytest -m recipe "$@" ;;
  all) exec python -m pytest -n 2 -m "recipe or not recipe" "$@" ;;
esac
