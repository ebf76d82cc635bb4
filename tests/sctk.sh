#!/usr/bin/env bash
# NIST's scoring programs (Debian's sctk) for the tests of `chainstitch score --nist`: installs them
# where it can, and else says why not; those tests then skip.
set -euo pipefail

skip() {
  echo "tests/sctk.sh: skipped: $1"
  exit 0
}

if command -v sctk > /dev/null; then exit 0; fi
if [[ $(id -u) != 0 ]]; then skip "no sctk on PATH, and it wants to be root to install it"; fi
if ! command -v apt-get > /dev/null; then skip "no sctk on PATH, and no apt-get to install it"; fi
install=(timeout 120 apt-get install -y -qq --no-install-recommends sctk)
export DEBIAN_FRONTEND=noninteractive
if ! "${install[@]}" > /dev/null 2>&1 &&
  ! { timeout 60 apt-get update -qq && "${install[@]}"; } > /dev/null 2>&1; then
  skip "apt-get install sctk fails"
fi
