# shellcheck shell=bash disable=SC2154 # arrays and options of run.sh
# Steps of run.sh, sourced after utils/systems.sh.

# LM weights and penalties that are tried: those of Kaldi's score_sclite.sh for chain models.
points=(--lmwt 5:17 --wip "0,0.5,1")

features_of() { # SET [OPTIONS]
  make "$data/$1_hires" extract_features conf/mfcc.toml "$data/$1" "$data/$1_hires" "${@:2}"
}

features_of_sets() {
  local set
  for set in $sets; do
    make "$data/${set}_hires" extract_features conf/mfcc.toml "$data/${set}_180s" \
      "$data/${set}_hires" --prior "$data/train_180s_hires"
  done
}

train_one() { # CONF EXP SEED SET DEN [OPTIONS of train]; goes on where it was stopped
  # shellcheck disable=SC2034 # for train_system
  local conf=$1 settings=("${@:6}") setting
  for setting in $override; do settings+=(--set "$setting"); done
  train_system "$2" "$3" "$data/$4" "$data/dev_hires" "$5"
}

cleanup_jobs() { # EXP DATA OUT
  local command=(chainstitch cleanup decode "$1" --data "$2" --lang "$lang" --out "$3" --nj 1
    --device "$device" "${overwrite_flag[@]}")
  $decode_cmd JOB=1:"$nj" "$exp/log/cleanup.JOB.log" "${command[@]}" --part "JOB/$nj"
  "${command[@]}" --merge "$nj"
}

# Kaldi decodes by chunks as long as those of training, with more context than there.
chunks_of() { # EXP
  case ${1##*/} in
    tdnn_lstm_*) echo --chunk 140 --extra-left 50 ;;
    blstm_*) echo --chunk 150 --extra-left 50 --extra-right 50 ;;
    lfr_ce_tdnn_lstm_*) echo --chunk 40 --extra-left 40 ;;
    lfr_ce_blstm_*) echo --chunk 20 --extra-left 40 --extra-right 40 ;;
  esac
}

decode_part() { # EXP SET NAME [OPTIONS]
  decode_set "$1" "$data/$2_hires" "$3" "${points[@]}" --all-times --write-lattices "${@:4}"
}

# By NIST's programs where they are, else by our own.
score_kind() { # EXP KIND
  local dev=$1/decode_dev$2 test=$1/decode_test$2
  chainstitch score "$dev"
  chainstitch score "$test" --choice "$dev/choice.toml"
  if type sctk >/dev/null 2>&1; then
    chainstitch score "$dev" --nist --data "$data/dev_180s" --stm "$data/dev/stm" --rule ted --nj "$nj"
    chainstitch score "$test" --nist --data "$data/test_180s" --stm "$data/test/stm" --rule ted \
      --nj "$nj" --choice "$dev/nist/choice.toml"
  else
    echo "without NIST's sctk (Debian: apt-get install sctk) only our own WER is computed"
  fi
}
