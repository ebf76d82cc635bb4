#!/usr/bin/env bash
# CIFAR-10 and CIFAR-100: the paper's wide ResNet, by plain training and by backstitch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=7
device=auto
threads=0
overwrite=false
work=. # where data/ and exp/ are made
corpus=
dataset=cifar10
conf=conf/resnet_1a.toml
name= # empty: that of the config
seeds="0"
backstitch=false
passes= # empty: the paper's for conf/resnet_1a.toml, else the config's
override= # settings in the config's place: 'optim.final_lr=2e-4 network.width=0.5'
max_train=0
max_test=0
unofficial=false

help_message="Usage: egs/cifar/run.sh --corpus DIR [--stage N] [--stop-stage M] [options]
Trains and scores the image classifier of the backstitch paper, section 5.2.
  --corpus DIR       the unpacked archive, python or binary form, or the directory that holds it
  --dataset D        cifar10 or cifar100 (default $dataset)
  --backstitch true  also train with backstitch (alpha 0.5, m 1), as NAME_backstitch, and compare
  --seeds 'A B'      one system per seed (default '$seeds')
  --work DIR         where data/ and exp/ go (default: this directory)
  --conf FILE        training config (default $conf; conf/resnet_quarter.toml: for a CPU)
  --name NAME        experiment name (default: the config's, with _cifar100); _sN is appended
  --passes P         passes over the data (default for $conf: 140, with backstitch 190; cifar100:
                     170 and 210; for others what the config says)
  --override 'K=V'   settings of training, instead of the config's (K=V and L=W: 'K=V L=W')
  --max-train N      use only the first N training images, --max-test N: test images (0: all)
  --unofficial true  accept files that are whole, but have not the official md5
  --device D         auto, cpu or cuda (default $device)
  --threads N        CPU threads (default 0: torch's choice)
  --overwrite true   replace what earlier runs made
Examples: egs/cifar/run.sh --corpus cifar-10-batches-py --backstitch true
          egs/cifar/run.sh --corpus cifar-10-batches-py --conf conf/resnet_quarter.toml --passes 2"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh

case $dataset in
  cifar10) paper=(140 190) ;;
  cifar100) paper=(170 210) ;;
  *)
    echo "$0: error: --dataset '$dataset': wanted cifar10 or cifar100" >&2
    exit 2
    ;;
esac
if [[ $work != . ]]; then work=$(caller_path "$work"); fi
data=$work/data/$dataset
if [[ ! $name ]]; then
  name=$(basename "$conf" .toml)
  if [[ $dataset != cifar10 ]]; then name+=_$dataset; fi
fi
settings=()
for setting in $override; do settings+=(--set "$setting"); done
unofficial_flag=()
if [[ $unofficial == true ]]; then unofficial_flag=(--unofficial); fi
variants=("$name")
against=()
if [[ $backstitch == true ]]; then
  variants+=("${name}_backstitch")
  against=(--baseline "$name")
fi
systems=()
for variant in "${variants[@]}"; do
  for seed in $seeds; do systems+=("$work/exp/${variant}_s$seed"); done
done

if stage 0 "check the corpus" "1 s"; then
  if [[ ! $corpus ]]; then
    echo "$0: error: --corpus is missing; give the unpacked archive of $dataset" >&2
    exit 2
  fi
fi

if stage 1 "check md5 and read the images" "10 s" "190 MB"; then
  chainstitch prepare "$dataset" "$(caller_path "$corpus")" "$data" \
    --max-train "$max_train" --max-test "$max_test" "${unofficial_flag[@]}" "${overwrite_flag[@]}"
fi

if stage 2 "train" "hours on a GPU; a quarter of the filters: 3 minutes a pass on a CPU, with backstitch 6" \
  "220 MB a seed"; then
  for exp in "${systems[@]}"; do
    step=()
    count=$passes
    which=0
    if [[ ${exp##*/} == "${name}_backstitch_s"* ]]; then
      step=(--set optim.backstitch.scale=0.5 --set optim.backstitch.interval=1)
      which=1
    fi
    if [[ ! $count && $conf == conf/resnet_1a.toml ]]; then count=${paper[which]}; fi
    if [[ $count ]]; then step+=(--set "training.passes=$count"); fi
    $train_cmd --follow "$work/exp/log/${exp##*/}.train.log" \
      chainstitch train "$conf" --data "$data/train" --valid "$data/test" \
      --out "$exp" --seed "${exp##*_s}" --device "$device" --num-threads "$threads" --resume auto \
      "${step[@]}" "${settings[@]}" "${overwrite_flag[@]}"
  done
fi

if stage 3 "combine the last models, on training images" "5 minutes a system" "11 MB a system"; then
  for exp in "${systems[@]}"; do
    chainstitch combine "$exp" --method bfgs --per-component --on train \
      --device "$device" --num-threads "$threads" "${overwrite_flag[@]}"
  done
fi

if stage 4 "classify training and test images" "2 minutes a system" "3 MB a system"; then
  for exp in "${systems[@]}"; do
    for set in train test; do
      chainstitch classify "$exp" --data "$data/$set" --out "$exp/decode_$set" \
        --device "$device" --num-threads "$threads" "${overwrite_flag[@]}"
    done
  done
fi

if stage 5 "score" "5 s a system" "1 MB"; then
  for exp in "${systems[@]}"; do
    for set in train test; do
      echo "${exp##*/} $set"
      chainstitch score "$exp/decode_$set"
    done
  done
fi

if stage 6 "plot log-likelihoods and confusions" "10 s" "1 MB"; then
  chainstitch plot "${systems[@]}" --out "$work/exp/objective.png"
  for exp in "${systems[@]}"; do chainstitch plot "$exp/decode_test"; done
fi

if stage 7 "compare" "10 s"; then
  chainstitch compare "${systems[@]}" "${against[@]}"
fi
