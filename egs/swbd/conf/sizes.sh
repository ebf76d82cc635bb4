# shellcheck shell=bash disable=SC2034 # for run.sh
# What depends on how large the corpus is; conf/mini has the same for the miniature.
lm_dev_lines=10000           # transcripts that are held out from the language models'
train_dev=4000               # utterances that LM weights are chosen on
first=100000                 # of the others, for the flat-start system
most_flat=200                # of utterances with the same words, for it
most=300                     # and for the other systems
eval2000_calls=40
leaves=7000
chain_passes=12              # of the baseline, by LF-MMI: Kaldi's 4 epochs
chain_passes_backstitch=24   # twice as many, as in the paper's section 5.1
ce_passes=8                  # by cross-entropy: 8 epochs are 8 passes
ce_passes_backstitch=16
num_pdfs=6050                # what run_tdnn_lstm_1e.sh had, for --dry-run
hours=863.8                  # 286 h at three speeds
