# shellcheck shell=bash disable=SC2034 # for run.sh
# What depends on how large the corpus is; conf/mini has the same for the miniature.
lm_dev_lines=10000           # transcripts that the language models' weights are chosen on
lm_order=4
lm_counts=(--min-count 1 --min-count 2) # of the text for language models; of transcripts all count
big_ngrams=10000000          # of the language model that rescores
small_ngrams=2000000         # and of that in the search graph
leaves=4000
chain_passes=12              # of the baseline, by LF-MMI: Kaldi's 4 epochs
chain_passes_backstitch=21   # 7 epochs, as run_tdnn_lstm_1v.sh
ce_passes=6                  # by cross-entropy: 6 epochs are 6 passes
ce_passes_backstitch=9
num_pdfs=3608                # what run_tdnn_lstm_1v.sh had, for --dry-run
