# shellcheck shell=bash
# Helpers for egs/*/run.sh, sourced after parse_options.sh:
#
#   if stage 2 "features" "20 s" "60 MB"; then
#     chainstitch features conf/mfcc.toml --data data/train --out data/train_hires "${overwrite_flag[@]}"
#   fi
#
# `stage` says what is about to be done, with the time and the disk that it takes, and is true for the
# stages from $stage to $stop_stage. When a stage fails, the command that goes on from there is printed;
# at the end, the time that each stage took. `"${overwrite_flag[@]}"` is --overwrite or nothing, by
# $overwrite. `make OUT COMMAND...` leaves what is there alone, so that a recipe that was stopped goes on
# by the same command. With $dry_run commands are printed and not run. `caller_path P` is the path P as
# seen from where the script was called, for a script that has changed to its own directory by `cd` once.
#
# A recipe that is told to end (SIGTERM, SIGHUP, Ctrl-C) passes that on to the command that runs, waits
# for it, as a training saves its state, and exits with 143, 129 or 130. A second Ctrl-C does not wait.

: "${stage=0}" "${stop_stage=99}" "${overwrite=false}" "${dry_run=false}"
for _recipe_name in stage stop_stage; do
  if [[ ! ${!_recipe_name} =~ ^-?[0-9]+$ ]]; then
    echo "$0: error: --${_recipe_name//_/-} wants a whole number, found '${!_recipe_name}'" >&2
    exit 2
  fi
done
if ((stage > stop_stage)); then
  echo "$0: error: nothing to do from --stage $stage to --stop-stage $stop_stage" >&2
  exit 2
fi

overwrite_flag=()
# shellcheck disable=SC2034 # for the recipe
if [[ $overwrite == true ]]; then overwrite_flag=(--overwrite); fi

_recipe_caller=${OLDPWD:-$PWD}
_recipe_now="" # number and name of the running stage
_recipe_number=0
_recipe_started=0
_recipe_times=()

# Runs a command that makes OUT, unless that is there, as what is there is whole.
make() { # OUT COMMAND...
  if [[ -e $1 && $overwrite == false && $dry_run == false ]]; then
    echo "$1 is there"
  elif [[ $(type -t "$2") == function && $2 != chainstitch && $2 != python ]]; then
    "${@:2}" # one of the recipe's, which says --overwrite itself
  else
    "${@:2}" "${overwrite_flag[@]}"
  fi
}

caller_path() {
  if [[ $1 == /* ]]; then printf '%s\n' "$1"; else printf '%s\n' "$_recipe_caller/$1"; fi
}

stage() { # stage NUMBER WHAT [TIME] [DISK]
  _recipe_close
  if (($1 < stage || $1 > stop_stage)); then return 1; fi
  _recipe_number=$1
  _recipe_now="stage $1: $2"
  _recipe_started=$SECONDS
  local needs=""
  if [[ ${3:-} ]]; then needs+=", about $3"; fi
  if [[ ${4:-} ]]; then needs+=", $4 of disk"; fi
  printf '%(%Y-%m-%d %H:%M:%S)T %s%s\n' -1 "$_recipe_now" "$needs"
}

_recipe_close() {
  if [[ $_recipe_now ]]; then
    _recipe_times+=("$(printf '%7d s  %s' $((SECONDS - _recipe_started)) "$_recipe_now")")
  fi
  _recipe_now=""
}

# The command that was given, with --stage replaced.
_recipe_again() {
  # shellcheck disable=SC2154 # from parse_options.sh
  local arguments=("${parse_options_given[@]}") kept=() n
  for ((n = 0; n < ${#arguments[@]}; n++)); do
    if [[ ${arguments[n]} == --stage ]]; then n=$((n + 1)); else kept+=("${arguments[n]}"); fi
  done
  local script=$0
  if [[ $script != */* ]]; then script=./$script; fi
  printf '%q ' "$script" --stage "$_recipe_number" "${kept[@]}"
}

_recipe_end() {
  local status=$?
  if ((status != 0)) && [[ $_recipe_now ]]; then
    {
      echo "$0: error: $_recipe_now failed (exit code $status) after $((SECONDS - _recipe_started)) s"
      echo "When the cause is mended, go on with: $(_recipe_again)"
    } >&2
    return
  fi
  if ((status != 0)); then return; fi
  _recipe_close
  if ((${#_recipe_times[@]} == 0)); then
    echo "$0: no stage has a number from $stage to $stop_stage" >&2
    return
  fi
  printf '%s\n' "${_recipe_times[@]}" "$(printf '%7d s  in all' "$SECONDS")"
}
trap _recipe_end EXIT

# bash runs no trap while a command runs in the foreground, so that the recipe would end and its
# training train on. So commands run in the background. They get one signal, SIGTERM, also for Ctrl-C,
# which the terminal would send to them as well.
_recipe_run() {
  local status=0
  (trap '' INT && exec "$@") <&0 &
  wait $! || status=$?
  return "$status"
}
chainstitch() { _recipe_run chainstitch "$@"; }
python() { _recipe_run python "$@"; }
if [[ $dry_run == true ]]; then
  chainstitch() { _recipe_show chainstitch "$@"; }
  python() { _recipe_show python "$@"; }
fi

# A command as it would be typed, and the paths in it: what is written, what is read.
_recipe_show() {
  local words=("$@") reads="" writes="" word before=""
  printf '  %s' "$1"
  for word in "${words[@]:1}"; do
    if [[ $word == --* ]]; then printf ' \\\n    %q' "$word"; else printf ' %q' "$word"; fi
    if [[ $before == --out || $word == *.log ]]; then
      writes+=" $word"
    elif [[ $word == */* && $word != --* && $word != JOB/* && $word != *=* ]]; then
      reads+=" $word"
    fi
    before=$word
  done
  printf '\n    reads:%s\n    writes:%s\n' "${reads:- nothing}" "${writes:- nothing}"
}

_recipe_stop() { # EXIT_CODE
  local running
  trap '' TERM HUP
  trap 'kill -KILL $(jobs -pr) 2>/dev/null' INT
  running=$(jobs -pr)
  # shellcheck disable=SC2086 # one number a word
  if [[ $running ]]; then
    kill -TERM $running 2>/dev/null || true
    wait || true
  fi
  exit "$1"
}
trap '_recipe_stop 143' TERM
trap '_recipe_stop 129' HUP
trap '_recipe_stop 130' INT
