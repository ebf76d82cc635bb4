# shellcheck shell=bash disable=SC2119
# Puts `chainstitch` and the speech synthesiser on PATH, setting it up if need be,
# and makes sort order the same everywhere.
# shellcheck source=../../utils/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../utils/setup.sh"
chainstitch_setup mini
export LC_ALL=C.UTF-8
