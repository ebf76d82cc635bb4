#!/usr/bin/env bash
# From nothing to a WER: synthetic speech, LF-MMI, natural gradient, backstitch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=9
nj=2
device=auto
overwrite=false
work=. # where corpus/, data/ and exp/ are made
minutes=33
conf=conf/tdnn_1a.toml
name=tdnn_1a
seeds="0"
passes= # empty: as the config says
override= # settings in the config's place: 'optim.final_lr=2e-4 chain.backend=reference'
without= # of backstitch natural_gradient max_change: also the same without it, NAME_without_IT
# Stage 10 on dev by --shift 0, -1, -2, -3: median error of a boundary 21.2, 15.1, 12.7, 13.7 ms.
align_options="--shift -2"

help_message="Usage: egs/mini/run.sh [--stage N] [--stop-stage M] [options]
Makes a corpus by speech synthesis, trains a TDNN on it with LF-MMI and decodes unseen voices.
  --minutes M        training speech to synthesise (default $minutes)
  --work DIR         where corpus/, data/ and exp/ go (default: this directory)
  --conf FILE        training config (default $conf)
  --name NAME        experiment name (default $name); seed N is appended as _sN
  --seeds 'A B'      one system per seed (default '$seeds')
  --passes P         passes over the data, instead of the config's
  --override 'K=V'   settings of training, instead of the config's (K=V and L=W: 'K=V L=W')
  --without 'P Q'    also train and decode the same without each of these parts, as NAME_without_P:
                     backstitch, natural_gradient, max_change
  --align-options O  of stage 10, times of words against known ones, which runs only when asked for
                     by --stop-stage 10 (default '$align_options', chosen on dev)
  --nj N             jobs for features and for decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Example: egs/mini/run.sh --stage 5 --seeds '1 2'"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh
. ../../utils/systems.sh


if stage 0 "synthesise the corpus" "30 s" "80 MB"; then
  python local/make_corpus.py --out "$work/corpus" --minutes "$minutes" "${overwrite_flag[@]}"
fi

if stage 1 "prepare and validate the data" "20 s" "1 MB"; then
  for set in train dev test; do
    chainstitch prepare kaldi "$work/corpus/$set" "$data/$set" "${overwrite_flag[@]}"
  done
  chainstitch validate "$data"/{train,dev,test} --lexicon local/lexicon.txt
fi

if stage 2 "features (40 MFCC; training at three speeds)" "20 s" "110 MB"; then
  extract_features conf/mfcc.toml "$data/train" "$data/train_hires" --augment
  for set in dev test; do
    extract_features conf/mfcc.toml "$data/$set" "$data/${set}_hires" --prior "$data/train_hires"
  done
fi

if stage 3 "lexicon and trigram LM" "10 s" "1 MB"; then
  chainstitch lang local/lexicon.txt --out "$data/lang" --text "$data/train" "${overwrite_flag[@]}"
fi

stages_4_to_9 "2 minutes" "60 MB" "30 s" "3 MB" "20 s" "5 MB"
if ((stage <= 9 && stop_stage >= 9)); then cat "$work/exp/${name}_s${seeds%% *}/decode_test/best_wer"; fi

if stage 10 "align dev and test, score the words' times" "20 s a seed" "5 MB"; then
  for variant in $variants; do
    for seed in $seeds; do
      exp=$work/exp/${variant}_s$seed
      for set in dev test; do
        align_system "$exp" "$data/${set}_hires" "$exp/ali_$set" "$work/corpus/$set/words.ctm"
      done
    done
  done
fi
