# shellcheck shell=bash
# Three stages of run.sh and run_aligned.sh, sourced after utils/systems.sh.

# shellcheck disable=SC2154 # arrays and options of the recipe
combine_decode_score() { # FIRST: stages FIRST to FIRST + 2, of systems=(EXP ...) and of=(PROTOCOL ...)
  local exp n kind
  if stage "$1" "combine the last models" "20 s a system" "2 MB a system"; then
    for exp in "${systems[@]}"; do combine_system "$exp"; done
  fi
  if stage $(($1 + 1)) "decode dev and test; choose LM weight and penalty on dev" \
    "1 minute a system"; then
    for n in "${!systems[@]}"; do
      for kind in isolated strings; do decode_system "${systems[n]}" "$data/${of[n]}" $kind; done
    done
  fi
  if stage $(($1 + 2)) "score" "10 s a system" "1 MB"; then
    for exp in "${systems[@]}"; do
      for kind in isolated strings; do score_system "$exp" $kind; done
    done
  fi
}
