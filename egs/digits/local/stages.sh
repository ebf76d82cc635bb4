# shellcheck shell=bash
# Steps of run.sh and run_aligned.sh, sourced after utils/systems.sh.

# shellcheck disable=SC2154 # arrays and options of the recipe
make_ivectors() { # PROTOCOL: an extractor of its training set, and the i-vectors of all its sets
  local exp=$work/exp/ivector_$1 set more
  chainstitch ivectors train conf/ivector.toml --data "$data/$1/train_hires" --out "$exp" \
    "${overwrite_flag[@]}"
  for set in train dev_isolated dev_strings test_isolated test_strings; do
    # as Kaldi does: in training no more than two utterances know of each other
    more=()
    if [[ $set == train ]]; then more=(--utterances 2); fi
    chainstitch ivectors extract "$exp" --data "$data/$1/${set}_hires" --online --per-speaker \
      "${more[@]}" "${overwrite_flag[@]}"
  done
}

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
