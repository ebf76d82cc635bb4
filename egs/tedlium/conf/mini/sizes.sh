# shellcheck shell=bash disable=SC2034 # for run.sh
# The miniature corpus of tests/corpora/tedlium.py.
lm_dev_lines=40
lm_order=3
lm_counts=()
big_ngrams=20000
small_ngrams=2000
leaves=60
chain_passes=6
chain_passes_backstitch=9
ce_passes=6
ce_passes_backstitch=9
num_pdfs=60
