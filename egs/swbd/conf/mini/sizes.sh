# shellcheck shell=bash disable=SC2034 # for run.sh
# The miniature corpus of tests/corpora/swbd.py.
lm_dev_lines=40
train_dev=30
first=10000
most_flat=20
most=20
eval2000_calls=3
leaves=60
chain_passes=4
chain_passes_backstitch=6
ce_passes=6
ce_passes_backstitch=9
num_pdfs=60
hours=0.4
