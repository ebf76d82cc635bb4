#!/usr/bin/env bash
# waves_yesno: real connected speech, eight Hebrew yes/no words a file; about a minute a seed.
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
seeds="0 1 2"
passes= # empty: as the config says
override= # settings in the config's place: 'optim.final_lr=2e-4 chain.backend=reference'
without= # of backstitch natural_gradient max_change: also the same without it, NAME_without_IT

help_message="Usage: egs/yesno/run.sh --corpus DIR [--stage N] [--stop-stage M] [options]
Trains and decodes waves_yesno: the first 31 files train (4 of them dev), the last 29 test.
  --corpus DIR       the 60 wav files (openslr.org/1)
  --seeds 'A B'      one system per seed (default '$seeds')
  --work DIR         where data/ and exp/ go (default: this directory)
  --conf FILE        training config (default $conf)
  --name NAME        experiment name (default $name); seed N is appended as _sN
  --passes P         passes over the data, instead of the config's
  --override 'K=V'   settings of training, instead of the config's (K=V and L=W: 'K=V L=W')
  --without 'P Q'    also train and decode the same without each of these parts, as NAME_without_P:
                     backstitch, natural_gradient, max_change
  --nj N             jobs for features and for decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Example: egs/yesno/run.sh --corpus waves_yesno --seeds 0"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh
. ../../utils/systems.sh


if stage 0 "check the corpus" "1 s"; then
  if [[ ! $corpus ]]; then
    echo "$0: error: --corpus is missing; give the directory of the 60 wav files" >&2
    exit 2
  fi
fi

if stage 1 "prepare and validate the data" "10 s" "1 MB"; then
  chainstitch prepare yesno "$(caller_path "$corpus")" "$data" "${overwrite_flag[@]}"
  chainstitch validate "$data"/{train,dev,test} --lexicon local/lexicon.txt
fi

if stage 2 "features (40 MFCC; training at three speeds)" "15 s" "11 MB"; then
  extract_features conf/mfcc.toml "$data/train" "$data/train_hires" --augment
  for set in dev test; do
    extract_features conf/mfcc.toml "$data/$set" "$data/${set}_hires" --prior "$data/train_hires"
  done
fi

if stage 3 "lexicon and uniform word loop" "5 s" "1 MB"; then
  chainstitch lang local/lexicon.txt --out "$data/lang" --grammar uniform "${overwrite_flag[@]}"
fi

stages_4_to_9 "40 s" "20 MB" "10 s" "1 MB" "15 s" "1 MB"
