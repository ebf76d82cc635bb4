# shellcheck shell=bash disable=SC2034
# How jobs are started, the one place to choose it: $train_cmd [JOB=1:N] LOG COMMAND...
# See `chainstitch run --help` for what may be added (--mem 4G, --num-threads 2, --max-jobs-run 4).
export train_cmd="chainstitch run --backend local"
export decode_cmd="chainstitch run --backend local"
export cuda_cmd="chainstitch run --backend local --gpu 1"
