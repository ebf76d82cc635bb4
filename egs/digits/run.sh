#!/usr/bin/env bash
# Free Spoken Digit Dataset: isolated digits and connected strings, known and held-out speakers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=9
nj=2
device=auto
overwrite=false
work=. # where data/ and exp/ are made
corpus=
conf=conf/tdnn_1a.toml
name=tdnn_1a
seeds="0"
protocols=official # or: folds, for all six held-out speakers; or names as prepare takes them
epochs= # empty: as the config says
scale=  # of backstitch; empty: as the config says, 0 switches it off

help_message="Usage: egs/digits/run.sh --corpus DIR [--stage N] [--stop-stage M] [options]
Trains and decodes the Free Spoken Digit Dataset (recordings/<digit>_<speaker>_<n>.wav).
  --corpus DIR       the directory that holds recordings/
  --protocols 'P Q'  official, heldout-theo, ..., or folds: all six held-out speakers
                     (default $protocols)
  --seeds 'A B'      one system per protocol and seed (default '$seeds')
  --work DIR         where data/ and exp/ go (default: this directory)
  --conf FILE        training config (default $conf)
  --name NAME        experiment name (default $name); protocol and seed are appended
  --epochs E         passes over the data, instead of the config's
  --scale A          backstitch scale, instead of the config's; 0: none
  --nj N             processes for features and decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Example: egs/digits/run.sh --corpus free-spoken-digit-dataset --protocols folds"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh

if [[ $work != . ]]; then work=$(caller_path "$work"); fi
data=$work/data
settings=()
if [[ $epochs ]]; then settings+=(--set "training.epochs=$epochs"); fi
if [[ $scale ]]; then settings+=(--set "optim.backstitch.scale=$scale"); fi

if [[ $protocols == folds ]]; then
  protocols="heldout-george heldout-jackson heldout-lucas heldout-nicolas heldout-theo heldout-yweweler"
fi
sets="dev_isolated dev_strings test_isolated test_strings"

if stage 0 "check the corpus" "1 s"; then
  if [[ ! $corpus ]]; then
    echo "$0: error: --corpus is missing; give the directory that holds recordings/" >&2
    exit 2
  fi
fi

if stage 1 "prepare and validate the data" "15 s a protocol" "1 MB"; then
  for protocol in $protocols; do
    chainstitch prepare digits "$(caller_path "$corpus")" "$data/$protocol" \
      --protocol "$protocol" "${overwrite_flag[@]}"
    for set in train $sets; do
      chainstitch validate "$data/$protocol/$set" --lexicon local/lexicon.txt
    done
  done
fi

if stage 2 "features (40 MFCC; training at three speeds)" "40 s a protocol" "125 MB a protocol"; then
  for protocol in $protocols; do
    here=$data/$protocol
    chainstitch features conf/mfcc.toml --data "$here/train" --out "$here/train_hires" --augment \
      --nj "$nj" "${overwrite_flag[@]}"
    for set in $sets; do
      chainstitch features conf/mfcc.toml --data "$here/$set" --out "$here/${set}_hires" \
        --prior "$here/train_hires" --nj "$nj" "${overwrite_flag[@]}"
    done
  done
fi

if stage 3 "lexicon and uniform digit loop" "5 s" "1 MB"; then
  chainstitch lang local/lexicon.txt --out "$data/lang" --grammar uniform "${overwrite_flag[@]}"
fi

if stage 4 "denominator graphs" "5 s a protocol" "1 MB"; then
  for protocol in $protocols; do
    chainstitch den-graph "$conf" --data "$data/$protocol/train" --lang "$data/lang" \
      --out "$work/exp/den_$protocol.npz" "${overwrite_flag[@]}"
  done
fi

if stage 5 "train" "3 minutes a system" "60 MB a system"; then
  for protocol in $protocols; do
    for seed in $seeds; do
      system=${name}_${protocol}_s$seed
      $train_cmd --follow "$work/exp/log/$system.train.log" \
        chainstitch train "$conf" --data "$data/$protocol/train_hires" \
        --valid "$data/$protocol/dev_strings_hires" --lang "$data/lang" \
        --den "$work/exp/den_$protocol.npz" --out "$work/exp/$system" \
        --seed "$seed" --device "$device" --resume auto "${settings[@]}" "${overwrite_flag[@]}"
    done
  done
fi

if stage 6 "combine the last models" "1 minute a system" "2 MB a system"; then
  for protocol in $protocols; do
    for seed in $seeds; do
      chainstitch combine "$work/exp/${name}_${protocol}_s$seed" --device "$device" \
        "${overwrite_flag[@]}"
    done
  done
fi

if stage 7 "decode dev and test; choose LM weight and penalty on dev" "1 minute a system"; then
  for protocol in $protocols; do
    for seed in $seeds; do
      exp=$work/exp/${name}_${protocol}_s$seed
      for kind in isolated strings; do
        chainstitch decode "$exp" --data "$data/$protocol/dev_${kind}_hires" --lang "$data/lang" \
          --out "$exp/decode_dev_$kind" --nj "$nj" --device "$device" "${overwrite_flag[@]}"
        chainstitch score "$exp/decode_dev_$kind"
        chainstitch decode "$exp" --data "$data/$protocol/test_${kind}_hires" --lang "$data/lang" \
          --out "$exp/decode_test_$kind" --choice "$exp/decode_dev_$kind/choice.toml" --nj "$nj" \
          --device "$device" "${overwrite_flag[@]}"
      done
    done
  done
fi

if stage 8 "score" "10 s a system" "1 MB"; then
  for protocol in $protocols; do
    for seed in $seeds; do
      exp=$work/exp/${name}_${protocol}_s$seed
      for kind in isolated strings; do
        echo "$protocol, seed $seed, $kind:"
        chainstitch score "$exp/decode_test_$kind" --choice "$exp/decode_dev_$kind/choice.toml"
      done
    done
  done
fi

if stage 9 "plot the objectives and compare" "10 s" "1 MB"; then
  systems=()
  for protocol in $protocols; do
    for seed in $seeds; do systems+=("$work/exp/${name}_${protocol}_s$seed"); done
  done
  chainstitch plot "${systems[@]}" --out "$work/exp/objective.png"
  folds=${protocols// /,}
  chainstitch compare "${systems[@]}" --folds "$folds"
fi
