# shellcheck shell=bash disable=SC2034 # for run.sh
# What depends on how large the corpus is; conf/mini has the same for the miniature.
lm_prune=1e-7                # of the language model, by weighted difference
leaves=4200
chain_passes=12              # of the baseline, by LF-MMI: Kaldi's 4 epochs
chain_passes_backstitch=24   # twice as many, as in the paper's section 5.1
ce_passes=10                 # by cross-entropy: 10 epochs are 10 passes
ce_passes_backstitch=20
num_pdfs=3770                # what run_tdnn_lstm_1j.sh had, for --dry-run
declare -A hours=([ihm]=212.9 [sdm1]=209.7 [mdm8]=209.7) # after Kaldi's clean-up, at three speeds
