#!/usr/bin/env bash
# Switchboard: the backstitch paper's rows of Table 1, from the LDC's directories to NIST's WER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=14
corpus=
transcripts= # empty: swb_ms98_transcriptions in the corpus
conv_tab=    # empty: each side of a call is a speaker
eval2000=
eval2000_transcripts= # empty: in that of eval2000
rt03=
fisher=
dry_run=false
nj=4
device=auto
overwrite=false
work=. # where data/ and exp/ are made
conf=conf
nets="tdnn_lstm_1e blstm_6k lfr_ce_tdnn_lstm_1a lfr_ce_blstm_1a"
forms="baseline backstitch"
seeds="0"
probs=true
override= # settings of training in the configs' place

help_message="Usage: egs/swbd/run.sh --corpus LDC97S62 --eval2000 LDC2002S09 [--stage N] [--stop-stage M] [options]
Trains and decodes Switchboard: language models, a flat-start system that aligns the transcripts, i-vectors,
then each network without backstitch and with it, by chunks as Kaldi decodes and by whole utterances, rescored
with a 4-gram, scored by NIST's programs (Debian: sctk).
  --corpus DIR       LDC97S62, Switchboard-1 release 2: sw02001.sph and so on, at any depth
  --transcripts DIR  those of Mississippi State, openslr.org/5 (default: swb_ms98_transcriptions in --corpus)
  --conv-tab FILE    who speaks on which side: conv.tab of the corpus' documentation (default: each side is a
                     speaker)
  --eval2000 DIR     LDC2002S09; --eval2000-transcripts DIR: LDC2002T43 (default: in --eval2000)
  --rt03 DIR         LDC2007S10 (default: RT-03 is not scored)
  --fisher DIR       transcripts LDC2004T19, LDC2005T19 or both in one directory (default: the language models
                     are of Switchboard alone, so that figures do not compare with published ones)
  --dry-run true     only print every command with what it reads and writes, and what training costs
  --conf DIR         where the configs are (default $conf); conf/mini is for the miniature corpus
  --nets 'A B'       of DIR/A.toml (default '$nets')
  --forms 'F G'      baseline: without backstitch, for as many passes as Kaldi's; backstitch: as the
                     paper's system (default '$forms')
  --seeds 'A B'      one of each per seed (default '$seeds')
  --probs false      without pronunciation and silence probabilities
  --override 'K=V'   settings of training of the networks, instead of the configs'
  --work DIR         where data/ and exp/ go (default: this directory)
  --nj N             jobs for features and decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Stages: 0 prepare, 1 subsets, 2 language models, 3 lexicon, 4 features, 5 flat-start system, 6 alignments and
probabilities, 7 tree, 8 i-vectors, 9 train, 10 combine, 11 decode, 12 rescore, 13 score, 14 all scores. What a
stopped run has finished is kept: the same command goes on.
Example: egs/swbd/run.sh --corpus LDC97S62 --eval2000 LDC2002S09 --eval2000-transcripts LDC2002T43 --rt03 LDC2007S10
         python tests/corpora/swbd.py --out mini && egs/swbd/run.sh --corpus mini/LDC97S62 \\
           --eval2000 mini/LDC2002S09 --conf conf/mini --work mini_work --nj 2"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
passes="" without="" name="" # of systems.sh, and no options here
. ../../utils/recipe.sh
. ../../utils/systems.sh

if [[ ! $corpus || ! $eval2000 ]]; then
  echo "$0: error: --corpus or --eval2000 is missing; give the directories of LDC97S62 and LDC2002S09" >&2
  exit 2
fi
for option in corpus transcripts conv_tab eval2000 eval2000_transcripts rt03 fisher; do
  if [[ ${!option} ]]; then printf -v "$option" %s "$(caller_path "${!option}")"; fi
done
if [[ $conf != conf && $conf != conf/* ]]; then conf=$(caller_path "$conf"); fi
# shellcheck source=conf/sizes.sh
. "$conf/sizes.sh"
dev=train_dev tests="eval2000${rt03:+ rt03}" chunk=140 speakers="" nist_of_dev=false
own_count=false # the test sets' own texts are in capitals; NIST's programs do not mind
points=(--lmwt 5:17 --wip "0,0.5,1") # those of Kaldi's score.sh for this corpus
. ../../utils/table1.sh
lang=$data/lang

if $dry_run; then show_costs "$hours"; fi

if stage 0 "prepare the data" "10 minutes" "1 GB"; then
  make "$data/train" chainstitch prepare swbd "$corpus" "$data" ${transcripts:+--transcripts "$transcripts"} \
    ${conv_tab:+--conv-tab "$conv_tab"} --lm-dev-lines "$lm_dev_lines"
  make "$data/eval2000" chainstitch prepare eval2000 "$eval2000" "$data/eval2000" \
    --transcripts "${eval2000_transcripts:-$eval2000}" --calls "$eval2000_calls"
  if [[ $rt03 ]]; then make "$data/rt03" chainstitch prepare rt03 "$rt03" "$data/rt03"; fi
  if [[ $fisher ]]; then
    make "$data/fisher_text" chainstitch prepare fisher "$fisher" "$data/fisher_text" --style swbd
  fi
fi

if stage 1 "subsets; not too many utterances with the same words" "5 minutes" "1 GB"; then
  make "$data/train_dev" chainstitch data subset "$data/train" --count "$train_dev" --how first \
    --out "$data/train_dev"
  make "$data/train_nodev" chainstitch data subset "$data/train" --count "$train_dev" --how rest \
    --out "$data/train_nodev"
  make "$data/train_first" chainstitch data subset "$data/train_nodev" --count "$first" --how first \
    --out "$data/train_first"
  make "$data/train_flat" chainstitch data remove-duplicates "$data/train_first" --max "$most_flat" \
    --out "$data/train_flat"
  make "$data/train_nodup" chainstitch data remove-duplicates "$data/train_nodev" --max "$most" \
    --out "$data/train_nodup"
fi

if stage 2 "language models: 3-gram to decode, 4-gram to rescore" "1 hour" "5 GB"; then
  words=(--vocab "$data/dict/lexicon.txt")
  for order in 3 4; do
    make "$lm/swbd.o${order}g.arpa.gz" chainstitch lm train "$data/lm_text/train.txt" "${words[@]}" \
      --order $order --out "$lm/swbd.o${order}g.arpa.gz"
  done
  big=$lm/swbd.o4g.arpa.gz
  if [[ $fisher ]]; then
    big=$lm/swbd_fisher.o4g.arpa.gz
    make "$lm/fisher.o4g.arpa.gz" chainstitch lm train "$data/fisher_text/lm.txt.gz" "${words[@]}" --order 4 \
      --out "$lm/fisher.o4g.arpa.gz"
    make "$big" chainstitch lm mix "$lm/swbd.o4g.arpa.gz" "$lm/fisher.o4g.arpa.gz" \
      --heldout "$data/lm_text/dev.txt" --out "$big"
  fi
  for model in "$lm/swbd.o3g.arpa.gz" "$big"; do chainstitch lm perplexity "$model" "$data/lm_text/dev.txt"; done
fi
small=$lm/swbd.o3g.arpa.gz
big=$lm/swbd${fisher:+_fisher}.o4g.arpa.gz

if stage 3 "lexicon and search graph's language model" "3 minutes" "500 MB"; then
  make "$lang" chainstitch lang "$data/dict" --oov unk --lm "$small" --out "$lang"
fi

if stage 4 "features (40 MFCC; training at three speeds)" "4 hours by one job" "90 GB"; then
  features_of train_nodup --augment
  features_of train_flat
  features_of_tests train_nodup
fi

if stage 5 "flat-start system" "10 hours of a GPU" "500 MB"; then flat_start train_flat; fi

if stage 6 "alignments; pronunciation and silence probabilities" "3 hours" "3 GB"; then
  for set in train_nodup train_dev; do align_with_flat "$set"; done
  if $probs; then lexicon_probs train_nodup "$small"; fi
fi
if $probs; then lang=$data/lang_probs; fi

if stage 7 "context tree and denominator graph" "30 minutes" "100 MB"; then
  tree_and_den train_nodup tdnn_lstm_1e
fi

if stage 8 "i-vectors" "3 hours" "8 GB"; then ivectors_of train_flat train_nodup; fi

if stage 9 "train" "20 to 60 hours of a GPU a system" "5 GB a system"; then train_all train_nodup; fi

if stage 10 "combine the last models" "1 hour of a GPU a system" "300 MB a system"; then combine_all; fi

if stage 11 "decode, by chunks and by whole utterances" "2 hours a system" "500 MB a system"; then decode_all; fi

if stage 12 "rescore with the 4-gram" "1 hour a system" "100 MB a system"; then rescore_all "$big"; fi

if stage 13 "score, choosing LM weight and penalty on train_dev" "5 minutes a system" "10 MB a system"; then
  for system in "${systems[@]}"; do
    for kind in "" _whole _big; do
      score_one "$system" train_dev "$kind"
      for set in $tests; do
        halves="swbd=!en_,callhm=!sw_"
        if [[ $set == rt03 ]]; then halves="swbd=!fsh_,fsh=!sw_"; fi
        score_one "$system" "$set" "$kind" --stm "$data/$set/stm" --glm "$data/$set/glm" --rule swbd \
          --acronyms "$data/dict/acronyms.map" --subsets "$halves"
      done
    done
  done
fi

if stage 14 "all scores" "1 s"; then show_scores; fi
