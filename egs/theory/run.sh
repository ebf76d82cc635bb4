#!/usr/bin/env bash
# The theory of the backstitch paper, checked: bias, correction and cancellation; no corpus, CPU only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=3
overwrite=false
work=. # where exp/ is made
seed=0
draws=1000000
rows=10000
time_constants=20
results= # empty: exp/ in the work directory

help_message="Usage: egs/theory/run.sh [--stage N] [--stop-stage M] [options]
Measures the bias of finite samples, and what backstitch takes from it, against the paper's formulas.
  --work DIR         where exp/ goes (default: this directory)
  --draws N          data sets in stage 0, a tenth of it in stage 2 (default $draws)
  --rows N           data sets trained on in stage 1 (default $rows)
  --time-constants T how long stage 1 measures, in time constants of the descent, after half of that to
                     forget the start (default $time_constants)
  --seed N           of everything that is drawn (default $seed)
  --results DIR      where RESULTS.md and bias.png go (default: exp/ in the work directory)
  --overwrite true   replace what earlier runs made
Example: egs/theory/run.sh --work theory --rows 500 --draws 100000"

. ./path.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh

if [[ $work != . ]]; then work=$(caller_path "$work"); fi
exp=$work/exp
if [[ $results ]]; then results=$(caller_path "$results"); else results=$exp; fi

if stage 0 "quadratic losses: bias of the minimiser, and of backstitch where it settles" "1 minute" "1 MB"; then
  python local/quadratic.py --out "$exp/quadratic.json" --draws "$draws" --seed "$seed" \
    "${overwrite_flag[@]}"
fi

if stage 1 "the same by training with the project's optimiser" "4 minutes" "1 MB"; then
  python local/training.py --out "$exp/training.json" --rows "$rows" --seed "$seed" \
    --time-constants "$time_constants" "${overwrite_flag[@]}"
fi

if stage 2 "mean and variance of a normal distribution" "5 s" "1 MB"; then
  python local/variance.py --out "$exp/variance.json" --draws $((draws / 10)) --seed "$seed" \
    "${overwrite_flag[@]}"
fi

if stage 3 "tables and figure" "5 s" "1 MB"; then
  python local/report.py --exp "$exp" --out "$results" --command "./run.sh ${parse_options_given[*]}" \
    "${overwrite_flag[@]}"
fi
