#!/usr/bin/env bash
# TED-LIUM, release 2 or 3: the backstitch paper's rows of Table 1, from the archive to NIST's WER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=15
corpus=
release=2
download=false
dry_run=false
nj=4
device=auto
overwrite=false
work=. # where data/ and exp/ are made
conf=conf
nets="tdnn_lstm_1v blstm_1a lfr_ce_tdnn_lstm_1b lfr_ce_blstm_1a"
forms="baseline backstitch"
seeds="0"
cleanup=true
probs=true
override= # settings of training in the configs' place

help_message="Usage: egs/tedlium/run.sh --corpus DIR [--stage N] [--stop-stage M] [options]
Trains and decodes TED-LIUM: language models, a flat-start system that cleans up and aligns the
transcripts, i-vectors, then each network without backstitch and with it, by chunks as Kaldi decodes and
by whole utterances, rescored with the big language model, scored by NIST's programs (Debian: sctk).
  --corpus DIR       what the archive unpacks to, TEDLIUM_release2 or TEDLIUM_release-3
  --release R        2 or 3 (default $release)
  --download true    fetch the archive (37 or 54 GB) to corpus/ of --work, unless it is there, and take that
  --dry-run true     only print every command with what it reads and writes, and what training costs
  --conf DIR         where the configs are (default $conf); conf/mini is for the miniature corpus
  --nets 'A B'       of DIR/A.toml (default '$nets')
  --forms 'F G'      baseline: without backstitch, for as many passes as Kaldi's; backstitch: as the
                     paper's system (default '$forms')
  --seeds 'A B'      one of each per seed (default '$seeds')
  --cleanup false    train on all segments, also those whose words do not fit what is heard
  --probs false      without pronunciation and silence probabilities
  --override 'K=V'   settings of training of the networks, instead of the configs'
  --work DIR         where data/ and exp/ go (default: this directory)
  --nj N             jobs for features, cleanup and decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Stages: 0 corpus, 1 prepare, 2 segments and speakers, 3 language models, 4 lexicon, 5 features, 6 flat-start
system, 7 clean-up, 8 alignments and probabilities, 9 tree, 10 i-vectors, 11 train, 12 combine, 13 decode,
14 rescore, 15 score and compare. What a stopped run has finished is kept: the same command goes on.
Example: egs/tedlium/run.sh --corpus TEDLIUM_release2
         python tests/corpora/tedlium.py --out mini && egs/tedlium/run.sh --corpus mini/TEDLIUM_release2 \\
           --conf conf/mini --work mini_work --nj 2"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
passes="" without="" name="" # of systems.sh, and no options here
. ../../utils/recipe.sh
. ../../utils/systems.sh

if [[ $conf != conf && $conf != conf/* ]]; then conf=$(caller_path "$conf"); fi
if [[ $corpus ]]; then corpus=$(caller_path "$corpus"); fi
# shellcheck source=conf/sizes.sh
. "$conf/sizes.sh"
dev=dev tests=test chunk=140 speakers=_180s nist_of_dev=true own_count=true
# LM weights and penalties that are tried: those of Kaldi's score_sclite.sh for chain models.
points=(--lmwt 5:17 --wip "0,0.5,1")
. ../../utils/table1.sh
lang=$data/lang

# hours of release 2 that are left after Kaldi's clean-up, at three speeds
if $dry_run; then show_costs 613.4; fi

if stage 0 "the archive" "hours with --download true" "110 GB"; then
  if $download; then
    make "$work/corpus" python local/download.py --release "$release" --out "$work/corpus"
  elif [[ ! $corpus ]]; then
    echo "$0: error: --corpus is missing; give the directory that the archive unpacks to, or" \
      "--download true" >&2
    exit 2
  fi
fi
if [[ ! $corpus ]]; then
  if [[ $release == 3 ]]; then corpus=$work/corpus/TEDLIUM_release-3; else corpus=$work/corpus/TEDLIUM_release2; fi
fi

if stage 1 "prepare the data" "5 minutes" "2 GB"; then
  # test comes last; --overwrite, as some may be there of a run that was stopped before that
  make "$data/test" chainstitch prepare tedlium "$corpus" "$data" --release "$release" \
    --lm-dev-lines "$lm_dev_lines" --overwrite
fi

if stage 2 "longer training segments; speakers of 180 s" "1 minute" "200 MB"; then
  make "$data/train_long" chainstitch data extend "$data/train" --out "$data/train_long" \
    --start 0.15 --end 0.1 --last 0.1
  make "$data/train_180s" chainstitch data split-speakers "$data/train_long" --seconds 180 \
    --out "$data/train_180s"
  for set in $dev $tests; do
    make "$data/${set}_180s" chainstitch data split-speakers "$data/$set" --seconds 180 \
      --out "$data/${set}_180s"
  done
fi

if stage 3 "language models: of the text and of the transcripts, mixed, pruned" "1 hour" "10 GB"; then
  words=(--vocab "$data/dict/lexicon.txt" --order "$lm_order")
  make "$lm/text.arpa.gz" chainstitch lm train "$data/lm_text/lm.txt.gz" "${words[@]}" "${lm_counts[@]}" \
    --out "$lm/text.arpa.gz"
  make "$lm/train.arpa.gz" chainstitch lm train "$data/lm_text/train.txt" "${words[@]}" \
    --out "$lm/train.arpa.gz"
  make "$lm/mixed.arpa.gz" chainstitch lm mix "$lm/train.arpa.gz" "$lm/text.arpa.gz" \
    --heldout "$data/lm_text/dev.txt" --out "$lm/mixed.arpa.gz"
  make "$lm/big.arpa.gz" chainstitch lm prune "$lm/mixed.arpa.gz" --ngrams "$big_ngrams" \
    --out "$lm/big.arpa.gz"
  make "$lm/small.arpa.gz" chainstitch lm prune "$lm/big.arpa.gz" --ngrams "$small_ngrams" \
    --out "$lm/small.arpa.gz"
  for size in big small; do chainstitch lm perplexity "$lm/$size.arpa.gz" "$data/dev"; done
fi

if stage 4 "lexicon and search graph's language model" "3 minutes" "500 MB"; then
  make "$lang" chainstitch lang "$data/dict" --oov unk --lm "$lm/small.arpa.gz" --out "$lang"
fi

if stage 5 "features (40 MFCC; training at three speeds)" "3 hours by one job" "60 GB"; then
  features_of train_180s --augment
  features_of_tests train_180s
fi

if stage 6 "flat-start system" "10 hours of a GPU" "500 MB"; then flat_start train_180s; fi

clean=train_180s
if $cleanup; then clean=train_cleaned; fi
if stage 7 "clean-up of the transcripts; short segments joined" "4 hours" "30 GB"; then
  if $cleanup; then clean_up train_180s "$data/train_cleaned"; fi
  make "$data/train_comb" chainstitch data combine-short "$data/$clean" --min 1.55 --out "$data/train_comb"
  features_of train_comb --augment
fi

if stage 8 "alignments; pronunciation and silence probabilities" "2 hours" "2 GB"; then
  for set in train_comb dev; do align_with_flat "$set"; done
  if $probs; then lexicon_probs train_comb "$lm/small.arpa.gz"; fi
fi
if $probs; then lang=$data/lang_probs; fi

if stage 9 "context tree and denominator graph" "30 minutes" "100 MB"; then
  tree_and_den train_comb tdnn_lstm_1v
fi

if stage 10 "i-vectors" "2 hours" "5 GB"; then ivectors_of train_180s train_comb; fi

if stage 11 "train" "7 to 16 hours of a GPU a system" "4 GB a system"; then train_all train_comb; fi

if stage 12 "combine the last models" "1 hour of a GPU a system" "300 MB a system"; then combine_all; fi

if stage 13 "decode dev and test, by chunks and by whole utterances" "2 hours a system" "500 MB a system"; then
  decode_all
fi

if stage 14 "rescore with the big language model" "1 hour a system" "100 MB a system"; then
  rescore_all "$lm/big.arpa.gz"
fi

if stage 15 "score, choosing LM weight and penalty on dev; compare" "5 minutes a system" "10 MB a system"; then
  for system in "${systems[@]}"; do
    for kind in "" _whole _big; do
      for set in $dev $tests; do
        score_one "$system" "$set" "$kind" --stm "$data/$set/stm" --rule ted
      done
    done
  done
  chainstitch compare "${systems[@]}"
fi
