#!/usr/bin/env bash
# What numerators are made of: the best alignment alone, or the lattice of what is nearly as good.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=9
nj=2
device=auto
overwrite=false
work=. # as given to run.sh, which has made data/ and the flat-start system there
flat=tdnn_1a_s0 # the flat-start system, which aligns
conf=conf/tdnn_1a.toml
seeds="0 1 2"
passes= # empty: as the config says
override=
lattice_beam=10

help_message="Usage: egs/mini/run_lattices.sh [--stage N] [--stop-stage M] [options]
Aligns the training data with the flat-start system of run.sh (stages 0 to 6 of it), with lattices
of other pronunciations and silences, and trains each seed twice on the same denominator: with
numerators of the best alignments (one_best) and of the lattices (lattices). Ends with the table.
  --flat NAME        of the flat-start system with its seed (default $flat)
  --seeds 'A B'      two systems per seed (default '$seeds')
  --lattice-beam B   nats by which an alternative may be worse than the best (default $lattice_beam)
  --conf FILE, --passes P, --override 'K=V', --work DIR, --nj N, --device D, --overwrite true: as of
                     run.sh
Example: egs/mini/run.sh --stop-stage 6
         egs/mini/run_lattices.sh --seeds '0 1 2'"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
# of systems.sh, and no options here
without="" name=""
. ../../utils/recipe.sh
. ../../utils/systems.sh

ali=$work/exp/ali_lattices
den=$work/exp/den_lattices.npz
systems=()
for way in one_best lattices; do
  for seed in $seeds; do systems+=("$work/exp/${way}_s$seed"); done
done

if stage 0 "align training and dev data, with lattices" "1 minute" "5 MB"; then
  for set in train dev; do
    chainstitch align "$work/exp/$flat" --data "$data/${set}_hires" --lang "$data/lang" \
      --out "$ali/$set" --lattices --lattice-beam "$lattice_beam" --device "$device" \
      "${overwrite_flag[@]}"
  done
fi

if stage 1 "denominator graph" "5 s" "1 MB"; then
  chainstitch den-graph "$conf" --ali "$ali/train" --lang "$data/lang" --out "$den" \
    "${overwrite_flag[@]}"
fi

if stage 2 "train" "2 minutes a system" "60 MB a system"; then
  plain=("${settings[@]}")
  for exp in "${systems[@]}"; do
    kind=--ali
    if [[ ${exp##*/} == lattices_* ]]; then kind=--ali-lattice; fi
    settings=("${plain[@]}" "$kind" "$ali/train" --valid-ali "$ali/dev")
    train_system "$exp" "${exp##*_s}" "$data/train_hires" "$data/dev_hires" "$den"
  done
fi

if stage 3 "combine the last models" "30 s a system" "3 MB a system"; then
  for exp in "${systems[@]}"; do combine_system "$exp"; done
fi

if stage 4 "decode dev and test; choose LM weight and penalty on dev" "20 s a system" \
  "5 MB a system"; then
  for exp in "${systems[@]}"; do decode_system "$exp" "$data"; done
fi

if stage 5 "score" "5 s a system" "1 MB"; then
  for exp in "${systems[@]}"; do score_system "$exp"; done
fi

if stage 6 "compare" "10 s" "1 MB"; then
  chainstitch compare "${systems[@]}" --baseline one_best
fi
