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
seed=0
epochs= # empty: as the config says
scale=  # of backstitch; empty: as the config says, 0 switches it off

help_message="Usage: egs/mini/run.sh [--stage N] [--stop-stage M] [options]
Makes a corpus by speech synthesis, trains a TDNN on it with LF-MMI and decodes unseen voices.
  --minutes M        training speech to synthesise (default $minutes)
  --work DIR         where corpus/, data/ and exp/ go (default: this directory)
  --conf FILE        training config (default $conf)
  --name NAME        experiment name (default $name); --seed N is appended as _sN
  --epochs E         passes over the data, instead of the config's
  --scale A          backstitch scale, instead of the config's; 0: none
  --nj N             processes for features and decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Example: egs/mini/run.sh --stage 5 --seed 1"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh

if [[ $work != . ]]; then work=$(caller_path "$work"); fi
data=$work/data
exp=$work/exp/${name}_s$seed
settings=()
if [[ $epochs ]]; then settings+=(--set "training.epochs=$epochs"); fi
if [[ $scale ]]; then settings+=(--set "optim.backstitch.scale=$scale"); fi

if stage 0 "synthesise the corpus" "30 s" "80 MB"; then
  python local/make_corpus.py --out "$work/corpus" --minutes "$minutes" "${overwrite_flag[@]}"
fi

if stage 1 "prepare and validate the data" "20 s" "1 MB"; then
  for set in train dev test; do
    chainstitch prepare kaldi "$work/corpus/$set" "$data/$set" "${overwrite_flag[@]}"
  done
  chainstitch validate "$data"/{train,dev,test} --lexicon local/lexicon.txt
fi

if stage 2 "features (40 MFCC; training at three speeds)" "1 minute" "110 MB"; then
  chainstitch features conf/mfcc.toml --data "$data/train" --out "$data/train_hires" --augment \
    --nj "$nj" "${overwrite_flag[@]}"
  for set in dev test; do
    chainstitch features conf/mfcc.toml --data "$data/$set" --out "$data/${set}_hires" \
      --prior "$data/train_hires" --nj "$nj" "${overwrite_flag[@]}"
  done
fi

if stage 3 "lexicon and trigram LM" "10 s" "1 MB"; then
  chainstitch lang local/lexicon.txt --out "$data/lang" --text "$data/train" "${overwrite_flag[@]}"
fi

if stage 4 "denominator graph" "5 s" "1 MB"; then
  chainstitch den-graph "$conf" --data "$data/train" --lang "$data/lang" \
    --out "$work/exp/den.npz" "${overwrite_flag[@]}"
fi

if stage 5 "train" "5 minutes" "90 MB"; then
  $train_cmd --follow "$exp/../log/${name}_s$seed.train.log" \
    chainstitch train "$conf" --data "$data/train_hires" --valid "$data/dev_hires" \
    --lang "$data/lang" --den "$work/exp/den.npz" --out "$exp" --seed "$seed" \
    --device "$device" --resume auto "${settings[@]}" "${overwrite_flag[@]}"
fi

if stage 6 "combine the last models" "1 minute" "3 MB"; then
  chainstitch combine "$exp" --device "$device" "${overwrite_flag[@]}"
fi

if stage 7 "decode dev and test" "1 minute" "5 MB"; then
  chainstitch decode "$exp" --data "$data/dev_hires" --lang "$data/lang" --out "$exp/decode_dev" \
    --nj "$nj" --device "$device" "${overwrite_flag[@]}"
  chainstitch score "$exp/decode_dev"
  chainstitch decode "$exp" --data "$data/test_hires" --lang "$data/lang" \
    --out "$exp/decode_test" --choice "$exp/decode_dev/choice.toml" --nj "$nj" \
    --device "$device" "${overwrite_flag[@]}"
fi

if stage 8 "score" "5 s" "1 MB"; then
  chainstitch score "$exp/decode_test" --choice "$exp/decode_dev/choice.toml"
fi

if stage 9 "plot the objective" "5 s" "1 MB"; then
  chainstitch plot "$exp" --out "$exp/objective.png"
  cat "$exp/decode_test/best_wer"
fi
