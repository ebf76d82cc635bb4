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
mfcc=conf/mfcc.toml
name=tdnn_1a
seeds="0"
protocols=official # or: folds, for all six held-out speakers; or names as prepare takes them
passes= # empty: as the config says
override= # settings in the config's place: 'optim.final_lr=2e-4 chain.backend=reference'
without= # of backstitch natural_gradient max_change: also the same without it, NAME_without_IT
# Stage 10 on dev of the official protocol by --boost-silence 0, 1, 1.25, 1.5: median error of a
# boundary 31.5, 30.0, 29.4, 28.8 ms, mean 58.9, 53.8, 53.2, 55.7 ms; of the six folds together
# 30.0, 26.5, 26.0, 26.4 and 52.8, 48.2, 48.3, 49.5 ms.
align_options="--boost-silence 1.25"

help_message="Usage: egs/digits/run.sh --corpus DIR [--stage N] [--stop-stage M] [options]
Trains and decodes the Free Spoken Digit Dataset (recordings/<digit>_<speaker>_<n>.wav).
  --corpus DIR       the directory that holds recordings/
  --protocols 'P Q'  official, heldout-theo, ..., or folds: all six held-out speakers; or two of
                     them out at once, as in heldout-theo+george (default $protocols)
  --seeds 'A B'      one system per protocol and seed (default '$seeds')
  --work DIR         where data/ and exp/ go (default: this directory)
  --conf FILE        training config (default $conf)
  --mfcc FILE        features; conf/mfcc_causal.toml: the mean over what was heard before only
                     (default $mfcc)
  --name NAME        experiment name (default $name); protocol and seed are appended
  --passes P         passes over the data, instead of the config's
  --override 'K=V'   settings of training, instead of the config's (K=V and L=W: 'K=V L=W')
  --without 'P Q'    also train and decode the same without each of these parts, as NAME_without_P:
                     backstitch, natural_gradient, max_change
  --align-options O  of stage 10, times of digits in strings against known ones, which runs only
                     when asked for by --stop-stage 10 (default '$align_options', chosen on dev)
  --nj N             jobs for features and for decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Example: egs/digits/run.sh --corpus free-spoken-digit-dataset --protocols folds"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh
. ../../utils/systems.sh
. local/stages.sh


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
    extract_features "$mfcc" "$here/train" "$here/train_hires" --augment
    for set in $sets; do
      extract_features "$mfcc" "$here/$set" "$here/${set}_hires" --prior "$here/train_hires"
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

systems=() # and of each its protocol
of=()
for variant in $variants; do
  for protocol in $protocols; do
    for seed in $seeds; do
      systems+=("$work/exp/${variant}_${protocol}_s$seed")
      of+=("$protocol")
    done
  done
done

if stage 5 "train" "3 minutes a system" "60 MB a system"; then
  for n in "${!systems[@]}"; do
    exp=${systems[n]} here=$data/${of[n]}
    train_system "$exp" "${exp##*_s}" "$here/train_hires" "$here/dev_strings_hires" \
      "$work/exp/den_${of[n]}.npz"
  done
fi

combine_decode_score 6

if stage 9 "plot the objectives and compare" "10 s" "1 MB"; then
  chainstitch plot "${systems[@]}" --out "$work/exp/objective.png"
  chainstitch compare "${systems[@]}" --folds "${protocols// /,}" "${against[@]}"
fi

if stage 10 "align strings of dev and test, score the words' times" "30 s a system" "5 MB"; then
  for n in "${!systems[@]}"; do
    exp=${systems[n]} here=$data/${of[n]}
    for set in dev_strings test_strings; do
      if [[ $overwrite == true || ! -e $here/${set}_trimmed.ctm ]]; then
        python local/trimmed.py "$here/$set" --out "$here/${set}_trimmed.ctm" --overwrite
      fi
      align_system "$exp" "$here/${set}_hires" "$exp/ali_$set" \
        "$here/$set" "$here/${set}_trimmed.ctm"
    done
  done
fi
