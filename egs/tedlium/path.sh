# shellcheck shell=bash disable=SC2119
# Puts `chainstitch` on PATH, setting it up if need be,
# and makes sort order the same everywhere.
# shellcheck source=../../utils/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../utils/setup.sh"
chainstitch_setup
export LC_ALL=C.UTF-8
