#!/usr/bin/env bash
# LF-MMI against cross-entropy, and a context tree against monophones, each at a learning rate of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=6
nj=2
device=auto
overwrite=false
work=. # as given to run.sh, which has made data/ and the flat-start system there
flat=tdnn_1a_s0
leaves=200
criteria="lfmmi ce"
units="tree mono"
rates="1e-3 2e-3 4e-3"
tune_seeds="100 101"
seeds="0 1 2"
passes= # empty: as the configs say
override= # settings of training in the configs' place

help_message="Usage: egs/mini/run_aligned.sh [--stage N] [--stop-stage M] [options]
Aligns the training data with a flat-start system of run.sh (stages 0 to 6 of it), makes a tree, and trains the
same TDNN by LF-MMI and by cross-entropy, on the pdfs of the tree and on two pdfs a phone. Each of the four
gets the learning rate that makes the fewest errors on dev, with seeds that are not reported.
  --criteria 'A B'   of conf/aligned_A.toml (default '$criteria')
  --units 'A B'      tree and mono (default '$units')
  --leaves N         of the tree (default $leaves)
  --rates 'A B'      learning rates that are tried; each falls to a tenth (default '$rates')
  --tune-seeds 'A B' seeds that choose the rate (default '$tune_seeds')
  --seeds 'A B'      seeds that are reported (default '$seeds')
  --passes P         passes over the data, instead of the configs'
  --override 'K=V'   settings of training, instead of the configs' (K=V and L=W: 'K=V L=W')
  --flat NAME        of the flat-start system (default $flat)
  --work DIR         where data/ and exp/ are (default: this directory)
  --nj N             jobs for decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Stages: 0 align, 1 tree, 2 denominator graphs, 3 train at each rate, 4 train at the best one, 5 score,
6 compare. Systems that are done are kept: after a stop, the same command goes on.
Example: egs/mini/run.sh --stop-stage 6 && egs/mini/run_aligned.sh"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
without="" name="" # of systems.sh, and no options here
. ../../utils/recipe.sh
. ../../utils/systems.sh
exp=$work/exp

if stage 0 "align training and dev data" "1 minute" "10 MB"; then
  for set in train dev; do
    make "$exp/ali/$set" chainstitch align "$exp/$flat" --data "$data/${set}_hires" --lang "$data/lang" \
      --out "$exp/ali/$set" --no-textgrid --device "$device"
  done
fi

if stage 1 "context tree" "10 s" "1 MB"; then
  make "$exp/tree" chainstitch tree --data "$data/train_hires" --ali "$exp/ali/train" \
    --lang "$data/lang" --out "$exp/tree" --leaves "$leaves"
fi

if stage 2 "denominator graphs" "5 s" "1 MB"; then
  for unit in $units; do
    with=()
    if [[ $unit == tree ]]; then with=(--tree "$exp/tree"); fi
    make "$exp/den_$unit.npz" chainstitch den-graph conf/aligned_lfmmi.toml --ali "$exp/ali/train" \
      --lang "$data/lang" "${with[@]}" --out "$exp/den_$unit.npz"
  done
fi

# A system is exp/CRITERION_UNIT[_lrRATE]_sSEED.
train_aligned() { # CRITERION UNIT RATE EXP
  # shellcheck disable=SC2034 # for train_system
  local conf=conf/aligned_$1.toml settings=("${settings[@]}" --set "optim.initial_lr=$3"
    --set "optim.final_lr=$(awk "BEGIN { print $3 / 10 }")"
    --ali "$exp/ali/train" --valid-ali "$exp/ali/dev")
  train_system "$4" "${4##*_s}" "$data/train_hires" "$data/dev_hires" "$exp/den_$2.npz"
  make "$4/final.pt" combine_system "$4"
}

if stage 3 "train at each rate, decode dev" "2 minutes a system" "10 MB a system"; then
  for criterion in $criteria; do
    for unit in $units; do
      tried=()
      for rate in $rates; do
        for seed in $tune_seeds; do
          system=$exp/${criterion}_${unit}_lr${rate}_s$seed
          train_aligned "$criterion" "$unit" "$rate" "$system"
          make "$system/decode_dev" decode_set "$system" "$data/dev_hires" decode_dev
          chainstitch score "$system/decode_dev"
          tried+=("$system")
        done
      done
      python local/best_rate.py "${tried[@]}" | tee "$exp/${criterion}_$unit.rate"
    done
  done
fi

systems=()
for criterion in $criteria; do
  for unit in $units; do
    for seed in $seeds; do systems+=("$exp/${criterion}_${unit}_s$seed"); done
  done
done

if stage 4 "train at the best rate, decode dev and test" "2 minutes a system" "10 MB a system"; then
  for system in "${systems[@]}"; do
    named=${system##*/}
    named=${named%_s*}
    train_aligned "${named%_*}" "${named##*_}" "$(<"$exp/$named.rate")" "$system"
    make "$system/decode_test" decode_system "$system" "$data"
  done
fi

if stage 5 "score" "5 s a system" "1 MB"; then
  for system in "${systems[@]}"; do score_system "$system"; done
fi

if stage 6 "compare" "10 s" "1 MB"; then
  grep . "$exp"/*.rate | sed "s,^$exp/,rate of ,"
  chainstitch compare "${systems[@]}" --baseline lfmmi_tree
fi
