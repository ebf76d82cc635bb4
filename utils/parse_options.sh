# shellcheck shell=bash
# Options for a script, in Kaldi's grammar. Set the defaults first, then source this file:
#
#   stage=0
#   overwrite=false
#   help_message="Usage: $0 [--stage N] [--overwrite true|false]"
#   . ../../utils/parse_options.sh
#
# Every variable that is set above with a name that starts with a lower-case letter is an option:
# `--stop-stage 3` sets stop_stage. Where the default is true or false, so must the value be.
# `--config FILE` sources FILE before the other options count; `--help` prints $help_message.
# Parsing stops at the first argument that is not an option; the rest stays in "$@". A mistake exits
# with status 2. The options as they were given stay in the array parse_options_given.

_po_fail() {
  echo "$0: error: $1" >&2
  exit 2
}

# The number of single-character edits between two words, in _po_edits.
_po_distance() {
  local a=$1 b=$2 i j cost best diagonal
  local -a row
  for ((j = 0; j <= ${#b}; j++)); do row[j]=$j; done
  for ((i = 1; i <= ${#a}; i++)); do
    diagonal=${row[0]}
    row[0]=$i
    for ((j = 1; j <= ${#b}; j++)); do
      cost=1
      if [[ ${a:i-1:1} == "${b:j-1:1}" ]]; then cost=0; fi
      best=$((diagonal + cost))
      diagonal=${row[j]}
      if ((row[j] + 1 < best)); then best=$((row[j] + 1)); fi
      if ((row[j - 1] + 1 < best)); then best=$((row[j - 1] + 1)); fi
      row[j]=$best
    done
  done
  _po_edits=${row[${#b}]}
}

_po_unknown() {
  local wanted=$1 name nearest="" least=99
  local ours="wanted name nearest least ours help_message parse_options_given"
  while read -r name; do
    if [[ ! $name =~ ^[a-z] || " $ours " == *" $name "* ]]; then continue; fi
    _po_distance "$wanted" "$name"
    if ((_po_edits < least)); then
      least=$_po_edits
      nearest=$name
    fi
  done < <(comm -23 <(compgen -v | sort) <(compgen -e | sort)) # less the environment's
  if ((least <= 1 + ${#wanted} / 2)); then
    _po_fail "unknown option --${wanted//_/-}; did you mean --${nearest//_/-}? See $0 --help"
  fi
  _po_fail "unknown option --${wanted//_/-}; see $0 --help for those that there are"
}

# shellcheck disable=SC2034 # for recipe.sh
parse_options_given=("$@")

for ((_po_n = 1; _po_n < $#; _po_n++)); do
  if [[ ${!_po_n} == --config ]]; then
    _po_next=$((_po_n + 1))
    _po_file=${!_po_next}
    if [[ ! -r $_po_file ]]; then _po_fail "cannot read the file $_po_file given with --config"; fi
    if [[ $_po_file != */* ]]; then _po_file=./$_po_file; fi # a bare name would be sought on PATH
    # shellcheck disable=SC1090
    . "$_po_file"
  fi
done

while (($# > 0)); do
  case $1 in
    --help | -h)
      printf '%s\n' "${help_message:-no help for $0: its options are the variables at its top}"
      exit 0
      ;;
    --*=*) _po_fail "options are of the form --name value, found '$1'; leave out the =" ;;
    --*) ;;
    *) break ;;
  esac
  _po_name=${1#--}
  _po_name=${_po_name//-/_}
  if [[ $_po_name != config ]]; then
    if [[ ! $_po_name =~ ^[a-z][A-Za-z0-9_]*$ || ! -v $_po_name ]]; then _po_unknown "$_po_name"; fi
  fi
  if (($# < 2)); then _po_fail "no value after $1"; fi
  if [[ $_po_name != config ]]; then
    if [[ ${!_po_name} == true || ${!_po_name} == false ]]; then
      if [[ $2 != true && $2 != false ]]; then
        _po_fail "$1 wants true or false, found '$2'"
      fi
    fi
    printf -v "$_po_name" '%s' "$2"
  elif [[ -v config ]]; then
    config=$2
  fi
  shift 2
done

if [[ -v cmd && -z $cmd ]]; then _po_fail "the value of --cmd is empty"; fi
unset -f _po_fail _po_distance _po_unknown
unset _po_n _po_next _po_file _po_name _po_edits
