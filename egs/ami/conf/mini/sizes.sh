# shellcheck shell=bash disable=SC2034 # for run.sh
# The miniature corpus of tests/corpora/ami.py.
lm_prune=1e-7
leaves=60
chain_passes=4
chain_passes_backstitch=6
ce_passes=6
ce_passes_backstitch=9
num_pdfs=60
declare -A hours=([ihm]=0.4 [sdm1]=0.4 [mdm8]=0.4)
