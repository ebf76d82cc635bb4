# shellcheck shell=bash
# What the recipes of the backstitch paper's Table 1 have in common, from features to scores, sourced after
# systems.sh and the sizes.sh of $conf. A function is the body of a stage or a part of it; which stages there
# are, and what they cost, the recipe says.
#
# It takes the recipe's options $conf $nets $forms $seeds $cleanup $probs $override, of sizes.sh $leaves
# $num_pdfs chain_passes[_backstitch] ce_passes[_backstitch], and
#   dev, tests   the set that LM weights are chosen on, and the others
#   speakers     what a set with pseudo-speakers has after its name, _30s say; empty: there are none
#   nist_of_dev  whether NIST's programs can score dev, too; else the choice is that of our own count
#   own_count    whether our own count makes sense on the others, too: they are spelled as the hypotheses
#   points       --lmwt and --wip of decoding
#   chunk        frames of a chunk in which the TDNN-LSTM by LF-MMI decodes
# and sets
#   exp, lm, ali, flat   unless the recipe has: $work/exp, $data/lm, $exp/ali, $exp/flat_s0
#   systems        one for each of $nets, $forms and $seeds: $exp/NET_FORM_sSEED

# shellcheck disable=SC2154 # the options, from the recipe

: "${exp=$work/exp}" "${lm=$data/lm}" "${ali=$exp/ali}" "${flat=$exp/flat_s0}"

# A config of the recipe's own, where $conf, of a miniature, has none of the name.
config() { if [[ -e $conf/$1 ]]; then echo "$conf/$1"; else echo "conf/$1"; fi; } # FILE

systems=()
for _net in $nets; do
  for _form in $forms; do
    if [[ $_form != baseline && $_form != backstitch ]]; then
      echo "$0: error: --forms '$_form': wanted some of baseline backstitch" >&2
      exit 2
    fi
    for _seed in $seeds; do systems+=("$exp/${_net}_${_form}_s$_seed"); done
  done
done

net_of() { local name=${1##*/}; echo "${name%_*_s*}"; } # EXP

passes_of() { # EXP
  local name=${1##*/} variable=chain_passes
  if [[ $name == lfr_ce_* ]]; then variable=ce_passes; fi
  if [[ $name == *_backstitch_s* ]]; then variable+=_backstitch; fi
  echo "${!variable}"
}

show_costs() { # HOURS of training data at all speeds
  local system
  for system in "${systems[@]}"; do
    echo "== ${system##*/}"
    command chainstitch info "$conf/$(net_of "$system").toml" --num-pdfs "$num_pdfs" --hours "$1" \
      --passes "$(passes_of "$system")" | grep -E '^(parameters|archives|iterations|hours|gigabytes)'
  done
}

features_of() { # SET [OPTIONS]
  make "$data/$1_hires" extract_features "$(config mfcc.toml)" "$data/$1" "$data/$1_hires" "${@:2}"
}

features_of_tests() { # PRIOR, whose means those of the first seconds begin with
  local set
  for set in $dev $tests; do
    make "$data/${set}_hires" extract_features "$(config mfcc.toml)" "$data/$set$speakers" \
      "$data/${set}_hires" --prior "$data/$1_hires"
  done
}

train_one() { # CONF EXP SET DEN [OPTIONS of train]; goes on where it was stopped
  # shellcheck disable=SC2034 # for train_system
  local conf=$1 settings=("${@:5}") setting
  for setting in $override; do settings+=(--set "$setting"); done
  train_system "$2" "${2##*_s}" "$data/$3_hires" "$data/${dev}_hires" "$4"
}

flat_start() { # SET
  local conf_of_flat
  conf_of_flat=$(config flat.toml)
  make "$exp/den_flat.npz" chainstitch den-graph "$conf_of_flat" --data "$data/$1" --lang "$lang" \
    --out "$exp/den_flat.npz"
  train_one "$conf_of_flat" "$flat" "$1" "$exp/den_flat.npz"
  make "$flat/final.pt" combine_system "$flat"
}

clean_up() { # SET OUT [OPTIONS of cleanup cut]
  make "$data/$1_plain" extract_features "$(config mfcc.toml)" "$data/$1" "$data/$1_plain"
  make "$exp/cleanup" cleanup_jobs "$flat" "$data/$1_plain" "$exp/cleanup"
  make "$2" chainstitch cleanup cut "$exp/cleanup" --data "$data/$1" --lang "$lang" "${@:3}" --out "$2"
}

cleanup_jobs() { # EXP DATA OUT
  local command=(chainstitch cleanup decode "$1" --data "$2" --lang "$lang" --out "$3" --nj 1
    --device "$device" "${overwrite_flag[@]}")
  $decode_cmd JOB=1:"$nj" "$exp/log/cleanup.JOB.log" "${command[@]}" --part "JOB/$nj"
  "${command[@]}" --merge "$nj"
}

align_with_flat() { # SET [DATA], whose features are taken instead, of the same utterances
  make "$ali/$1" chainstitch align "$flat" --data "$data/${2:-$1}_hires" --lang "$lang" \
    --no-textgrid --device "$device" --out "$ali/$1"
}

lexicon_probs() { # SET ARPA
  make "$data/dict_probs" chainstitch lang-probs "$ali/$1" --lang "$lang" --out "$data/dict_probs"
  make "$data/lang_probs" chainstitch lang "$data/dict_probs" --oov unk --lm "$2" \
    --out "$data/lang_probs"
}

tree_and_den() { # SET NET [OPTIONS of tree]
  make "$exp/tree" chainstitch tree --data "$data/$1_hires" --ali "$ali/$1" --lang "$lang" \
    --leaves "$leaves" "${@:3}" --out "$exp/tree"
  make "$exp/den.npz" chainstitch den-graph "$conf/$2.toml" --ali "$ali/$1" --lang "$lang" \
    --tree "$exp/tree" --out "$exp/den.npz"
}

ivectors_of() { # SET of the extractor, SET of the networks
  local set
  make "$exp/ivector" chainstitch ivectors train "$(config ivector.toml)" --data "$data/$1_hires" \
    --out "$exp/ivector"
  # as Kaldi does: in training no more than two utterances know of each other
  make "$data/$2_hires/ivectors.h5" chainstitch ivectors extract "$exp/ivector" \
    --data "$data/$2_hires" --online --per-speaker --utterances 2
  for set in $dev $tests; do
    make "$data/${set}_hires/ivectors.h5" chainstitch ivectors extract "$exp/ivector" \
      --data "$data/${set}_hires" --online --per-speaker
  done
}

train_all() { # SET
  local system more
  for system in "${systems[@]}"; do
    more=(--set "training.passes=$(passes_of "$system")" --ali "$ali/$1" --valid-ali "$ali/$dev")
    if [[ $system == *_baseline_s* ]]; then more+=(--set optim.backstitch.scale=0); fi
    train_one "$conf/$(net_of "$system").toml" "$system" "$1" "$exp/den.npz" "${more[@]}"
  done
}

combine_all() {
  local system
  for system in "${systems[@]}"; do make "$system/final.pt" combine_system "$system"; done
}

# Kaldi decodes by chunks as long as those of training, with more context than there.
chunks_of() { # EXP
  case ${1##*/} in
    tdnn_lstm_*) echo --chunk "$chunk" --extra-left 50 ;;
    blstm_*) echo --chunk 150 --extra-left 50 --extra-right 50 ;;
    lfr_ce_tdnn_lstm_*) echo --chunk 40 --extra-left 40 ;;
    lfr_ce_blstm_*) echo --chunk 20 --extra-left 40 --extra-right 40 ;;
  esac
}

decode_all() { # by chunks as Kaldi does, and by whole utterances
  local system set
  for system in "${systems[@]}"; do
    for set in $dev $tests; do
      # shellcheck disable=SC2046 # options are words
      make "$system/decode_$set" decode_one "$system" "$set" "decode_$set" $(chunks_of "$system")
      make "$system/decode_${set}_whole" decode_one "$system" "$set" "decode_${set}_whole"
    done
  done
}

decode_one() { # EXP SET NAME [OPTIONS]
  decode_set "$1" "$data/$2_hires" "$3" "${points[@]}" --all-times --write-lattices "${@:4}"
}

rescore_all() { # ARPA
  local system set
  for system in "${systems[@]}"; do
    for set in $dev $tests; do
      make "$system/decode_${set}_big" chainstitch rescore "$system/decode_$set" --lang "$lang" \
        --arpa "$1" "${points[@]}" --mbr --all-times --out "$system/decode_${set}_big"
    done
  done
}

# By our own count and, where NIST's programs are, by theirs; at the LM weight that is best on dev, and there
# at the one that is best on the set itself as well, as papers have it.
score_one() { # EXP SET KIND [OPTIONS of score --nist, if SET has what that wants]
  local decoded=$1/decode_$2$3 of_dev=$1/decode_$dev$3 choice=() nist_choice=()
  if [[ $2 != "$dev" ]]; then
    choice=(--choice "$of_dev/choice.toml") nist_choice=("${choice[@]}")
    if [[ $nist_of_dev == true ]]; then nist_choice=(--choice "$of_dev/nist/choice.toml"); fi
  fi
  if [[ $2 == "$dev" || $own_count == true ]]; then chainstitch score "$decoded" "${choice[@]}"; fi
  if (($# < 4)); then return; fi
  if type sctk >/dev/null 2>&1; then
    chainstitch score "$decoded" --nist --data "$data/$2$speakers" "${@:4}" --nj "$nj" "${nist_choice[@]}"
  else
    echo "without NIST's sctk (Debian: apt-get install sctk) only our own WER is computed"
  fi
}

# What NIST's programs found, of all systems.
show_scores() {
  local system set kind
  for system in "${systems[@]}"; do
    echo "== ${system##*/}"
    for set in $dev $tests; do
      for kind in "" _whole _big; do
        local summary=$system/decode_$set$kind/nist/summary
        if [[ -e $summary ]]; then sed "s/^/$set$kind: /" "$summary"; fi
      done
    done
  done
}
