#!/usr/bin/env bash
# Where backstitch helps and where not: forms side by side, tuned on data and seeds that are not reported.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=5
experiment=
quick=false
corpus=
nj=2
device=cpu
overwrite=false
conf=conf
work=. # where data/ and exp/ are made
seeds=
results= # empty: exp/ in the work directory

help_message="Usage: egs/backstitch/run.sh --experiment NAME [--quick true] [--corpus DIR] [options]
Measures what backstitch does to a network that over-fits, against plain training and other remedies.
  --experiment NAME  what is asked, as conf/NAME.toml says it:
                     speech          LF-MMI on 8 minutes of synthetic speech, unseen voices (no --corpus)
                     digits          LF-MMI on a quarter of the Free Spoken Digit Dataset, unseen voices
                     mnist_mlp       1,000 images of MNIST, a network without convolutions
                     mnist_convnet   the same, with convolutions
                     cifar_convnet   5,000 images of CIFAR-10
                     ablations       what the paper's sections 4.3 to 4.6 say must not be left out (MNIST)
                     rivals          optimisers that are made for the same purpose (MNIST)
  --quick true       fewer forms, rates, passes and seeds: a table and a picture in ten minutes
  --corpus DIR       the directory of the corpus: recordings/ of digits, the idx.gz files of MNIST, an
                     archive of CIFAR-10; for speech, what egs/mini/local/make_corpus.py made
  --conf DIR         where NAME.toml and the networks, in nets/, are (default: the recipe's own)
  --seeds 'A B ...'  seeds of your own for the reported runs: the rates stay those that were chosen, and the
                     page says beside the experiment's own verdict what comes of yours (at least two)
  --nj N             jobs that share the runs, of one thread each (default $nj)
  --work DIR         where data/ and exp/ go (default: this directory)
  --results DIR      where RESULTS.md, pictures and results/NAME.json go (default: exp/ in the work
                     directory); the page has all experiments whose .json is there
  --device D         cpu, cuda or auto (default $device)
  --overwrite true   do again what is done
Stages: 0 data, 1 tuning runs, 2 choice of rates, 3 reported runs, 4 decoding of speech, 5 table, pictures
and verdict. Runs that are done are kept: after a stop, the same command goes on.
An experiment of your own is a file like conf/speech.toml, which local/experiment.py explains, and data of
your own are tune/ and report/ in data/KIND of --work, with an empty file ready beside them (local/data.sh).
Example: egs/backstitch/run.sh --experiment speech --quick true --work backstitch"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
. ../../utils/recipe.sh

if [[ ! $experiment ]]; then
  echo "$0: error: --experiment is missing; see $0 --help for those that there are" >&2
  exit 2
fi
if [[ ! $nj =~ ^[1-9][0-9]*$ ]]; then
  echo "$0: error: --nj wants a number of 1 or more, found '$nj'" >&2
  exit 2
fi
if [[ $work != . ]]; then work=$(caller_path "$work"); fi
name=$experiment
if [[ $quick == true ]]; then name+=_quick; fi
exp=$work/exp/$name
if [[ $results ]]; then results=$(caller_path "$results"); else results=$work/exp; fi
if [[ $conf != conf ]]; then conf=$(caller_path "$conf"); fi
asked=("$experiment" --conf "$conf" --quick "$quick" --seeds "$seeds")
again=
if [[ $seeds ]]; then again=_again; fi
. local/data.sh

# Starts jobs that share the runs of a plan, and says now and then how many are done.
do_all() { # PLAN WHAT SCRIPT [OPTIONS of progress.py]
  local plan=$1 what=$2 script=$3 jobs status=0 pid
  local progress=(python local/progress.py "$plan" --at-a-time "$nj" "${@:4}")
  jobs=$(command python local/plan.py --count "$plan")
  if ((jobs > nj)); then jobs=$nj; fi
  command "${progress[@]}" &
  pid=$!
  $(if [[ $device == cpu ]]; then echo "$train_cmd"; else echo "$cuda_cmd"; fi) \
    --num-threads 1 JOB=1:"$jobs" "$exp/log/$what.JOB.log" \
    python "local/$script" "$plan" JOB --jobs "$jobs" --device "$device" "${overwrite_flag[@]}" || status=$?
  kill "$pid" 2>/dev/null || true
  wait "$pid" || true
  command "${progress[@]}" --once
  return "$status"
}

python local/plan.py "${asked[@]}" --hours --at-a-time "$nj" --exp "$exp"
kind=$(command python local/plan.py "${asked[@]}" --kind)
data=$work/data/$kind

if stage 0 "data: one part to tune on, another to report on" "2 minutes" "200 MB"; then
  if [[ -e $data/ready && $overwrite == false ]]; then
    echo "$data is ready"
  else
    "prepare_$kind"
    touch "$data/ready"
  fi
fi

if stage 1 "tuning runs"; then
  python local/plan.py "${asked[@]}" --part tune --data "$data" --exp "$exp" \
    --out "$exp/tune.json" --at-a-time "$nj"
  do_all "$exp/tune.json" tune train_one.py
fi

if stage 2 "choose the rate of each form and number of passes" "1 s"; then
  python local/choose.py "${asked[@]}" --plan "$exp/tune.json" --out "$exp/chosen.json"
fi

if stage 3 "reported runs"; then
  python local/plan.py "${asked[@]}" --part report --data "$data" --exp "$exp" \
    --chosen "$exp/chosen.json" --out "$exp/report$again.json" --at-a-time "$nj"
  do_all "$exp/report$again.json" report train_one.py
fi

if [[ $kind == speech || $kind == digits ]]; then
  seconds=$(command python local/plan.py "${asked[@]}" --test-seconds)
  if stage 4 "decode the test set" "$seconds s a run"; then
    do_all "$exp/report$again.json" test test_one.py --file test.json --verb tested --each "$seconds"
  fi
fi

if stage 5 "table, pictures and verdict" "5 s" "1 MB"; then
  command="egs/backstitch/run.sh --experiment $experiment"
  if [[ $corpus ]]; then command+=" --corpus ${corpus##*/}"; fi
  if [[ $quick == true ]]; then command+=" --quick true"; fi
  if [[ $seeds ]]; then command+=" --seeds '$seeds'"; fi
  python local/gather.py "${asked[@]}" --exp "$exp" --plan "$exp/report$again.json" \
    --out "$results/results/$name$again.json" --command "$command"
  python local/report.py "$results/results" --out "$results" --show "$name$again"
fi
