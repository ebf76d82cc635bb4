# shellcheck shell=bash disable=SC2034
# How jobs are started, the one place to choose it: $train_cmd [JOB=1:N] LOG COMMAND...
# On a cluster: --backend slurm, or --backend sge; what --mem, --gpu and the others mean to it can be
# said in conf/queue.toml (egs/README.md). See `chainstitch run --help` for what may be added here, as in
# --mem 4G --num-threads 2 --max-jobs-run 20 --max-time 12h.
export train_cmd="chainstitch run --backend local"
export decode_cmd="chainstitch run --backend local"
export cuda_cmd="chainstitch run --backend local --gpu 1" # training, unless --device cpu is given
