#!/usr/bin/env bash
# A real Slurm of one node, started by root without systemd, and tests against it; ends in seconds
# with a reason where that cannot be. No cluster that the machine belongs to is touched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage="Usage: tests/slurm/run.sh [--shell | --do COMMAND...] [pytest arguments]
Starts Slurm (Debian's slurm-wlm and munge; installs them when it can) and runs tests/slurm and the
contract of \`chainstitch run\` against it, about 5 minutes; then stops it.
  --shell   a shell with this Slurm instead of the tests: sbatch, squeue, chainstitch run --backend slurm
  --do      a command instead of the tests, say
            python -m tests.recipes.kill_tedlium --place DIR --cmd slurm"

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  echo "$usage"
  exit 0
fi

skip() {
  echo "tests/slurm: skipped: $1"
  exit 0
}

if [[ $(id -u) != 0 ]]; then skip "it wants to be root, to start Slurm"; fi
is_there() { for program in slurmctld slurmd munged sbatch; do type -P $program > /dev/null || return 1; done; }
if ! is_there; then
  if ! command -v apt-get > /dev/null; then skip "no Slurm on PATH, and no apt-get to install it"; fi
  packages=(slurm-wlm munge)
  install=(timeout 300 apt-get install -y -qq --no-install-recommends "${packages[@]}")
  export DEBIAN_FRONTEND=noninteractive
  if ! "${install[@]}" > /dev/null 2>&1 &&
    ! { timeout 120 apt-get update -qq && "${install[@]}"; } > /dev/null 2>&1; then
    skip "Slurm cannot be installed here: apt-get install ${packages[*]} fails"
  fi
  if ! is_there; then skip "${packages[*]} are installed, and slurmctld or munged is not on PATH"
  fi
fi

. utils/setup.sh
chainstitch_setup test mini
PATH=$(dirname "$(command -v chainstitch)"):$PATH

place=$(mktemp -d)
export SLURM_CONF=$place/slurm.conf
host=$(hostname -s)
pids=()

stop() {
  local status=$?
  scancel --user=root --quiet 2> /dev/null || true
  for daemon in slurmd slurmctld; do
    if [[ -s $place/$daemon.pid ]]; then pids+=("$(cat "$place/$daemon.pid")"); fi
  done
  if ((${#pids[@]})); then kill "${pids[@]}" 2> /dev/null || true; fi
  for ((n = 0; n < 100; n++)); do # they write to $place as they end
    if ! kill -0 "${pids[@]}" 2> /dev/null; then break; fi
    sleep 0.1
  done
  if ((status != 0)); then tail -n 20 "$place"/slurm*.log >&2 || true; fi
  rm -rf "$place"
  exit "$status"
}
trap stop EXIT

# munge of our own: socket and key are nobody else's
mkdir -m 755 "$place/munge"
chmod 755 "$place"
dd if=/dev/urandom of="$place/munge/key" bs=1 count=128 status=none
chmod 600 "$place/munge/key"
munged --foreground --force --key-file="$place/munge/key" --socket="$place/munge/socket" \
  --pid-file="$place/munge/pid" --log-file="$place/munge/log" --seed-file="$place/munge/seed" \
  2> /dev/null &
pids+=($!)

cat > "$SLURM_CONF" << CONF
ClusterName=chainstitch_test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((20000 + RANDOM % 5000))
SlurmdPort=$((25000 + RANDOM % 5000))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$place/munge/socket
CredType=cred/munge
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
ReturnToService=2
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 Gres=gpu:1
PartitionName=main Nodes=$host Default=YES DefMemPerCPU=100 PriorityTier=1 GraceTime=10 OverSubscribe=FORCE:1
PartitionName=urgent Nodes=$host DefMemPerCPU=100 PriorityTier=10 PreemptMode=OFF
CONF
echo "Name=gpu File=/dev/null" > "$place/gres.conf" # what one can have without a GPU
mkdir "$place/state" "$place/spool"
slurmctld
slurmd -f "$SLURM_CONF"

up() { [[ $(sinfo --noheader --format=%T --partition=main 2> /dev/null) == idle ]]; }
for ((n = 0; n < 60; n++)); do
  if up; then break; fi
  sleep 0.5
done
if ! up; then
  sinfo --long || true
  echo "tests/slurm: error: Slurm was started, and its node is not idle after 30 s" >&2
  exit 1
fi

if [[ ${1:-} == --shell ]]; then
  bash -i || true
  exit 0
fi
if [[ ${1:-} == --do ]]; then
  "${@:2}"
  exit
fi
export CHAINSTITCH_TEST_BACKENDS=slurm
if (($# == 0)); then set -- tests/slurm tests/bin/test_run_contract.py; fi
python -m pytest -m "recipe or not recipe" "$@"
