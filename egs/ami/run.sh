#!/usr/bin/env bash
# AMI, headsets or a distant microphone: the backstitch paper's rows of Table 1, from the corpus to NIST's WER.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=14
corpus=
annotations= # empty: annotations in the corpus
cmudict=
wordlist=
fisher=
mic=sdm1
glm=
dry_run=false
nj=4
device=auto
overwrite=false
work=. # where data/ and exp/ are made
conf=conf
nets="tdnn_lstm_1j blstm_1a lfr_ce_tdnn_lstm_1a lfr_ce_blstm_1a"
forms="baseline backstitch"
seeds="0"
cleanup=true
override= # settings of training in the configs' place

help_message="Usage: egs/ami/run.sh --corpus DIR --cmudict FILE [--mic M] [--stage N] [--stop-stage M] [options]
Trains and decodes AMI: a language model, a flat-start system of the headsets that cleans up and aligns the
transcripts, i-vectors, then each network without backstitch and with it, by chunks as Kaldi decodes and by
whole utterances, scored by NIST's programs (Debian: sctk).
  --corpus DIR       the audio: ES2002a.Headset-0.wav, ES2002a.Array1-01.wav and so on, at any depth
  --annotations DIR  what ami_public_manual_1.6.1.zip unpacks to (default: annotations in --corpus)
  --cmudict FILE     the CMU dictionary, cmudict.0.7a
  --wordlist FILE    only these words of it, openslr.org/9's wordlist.50k.gz (default: all)
  --fisher DIR       transcripts of LDC2004T19 (default: the language model is of AMI alone, so that figures do
                     not compare with published ones)
  --mic M            ihm: headsets; sdm1: one distant microphone; mdm8: eight, beamformed by somebody else
                     (default $mic); networks of the last two train on what that microphone heard, with alignments
                     of what the headsets did
  --glm FILE         Kaldi's english.glm (default: a small one of ours, with which figures do not compare)
  --dry-run true     only print every command with what it reads and writes, and what training costs
  --conf DIR         where the configs are (default $conf); conf/mini is for the miniature corpus
  --nets 'A B'       of DIR/A.toml (default '$nets')
  --forms 'F G'      baseline: without backstitch, for as many passes as Kaldi's; backstitch: as the
                     paper's system (default '$forms')
  --seeds 'A B'      one of each per seed (default '$seeds')
  --cleanup false    train on all segments, also those whose words do not fit what is heard
  --override 'K=V'   settings of training of the networks, instead of the configs'
  --work DIR         where data/ and exp/ go (default: this directory)
  --nj N             jobs for features, cleanup and decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Stages: 0 prepare, 1 speakers, 2 language model, 3 lexicon, 4 features, 5 flat-start system, 6 clean-up,
7 alignments, 8 tree, 9 i-vectors, 10 train, 11 combine, 12 decode, 13 score, 14 compare. What a stopped run has
finished is kept: the same command goes on; another --mic shares what it can.
Example: egs/ami/run.sh --corpus amicorpus --cmudict cmudict.0.7a --mic sdm1
         python tests/corpora/ami.py --out mini && egs/ami/run.sh --corpus mini/amicorpus \\
           --annotations mini/annotations --cmudict mini/cmudict.0.7a --conf conf/mini --work mini_work --nj 2"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
passes="" without="" name="" # of systems.sh, and no options here
. ../../utils/recipe.sh
. ../../utils/systems.sh

if [[ ! $corpus || ! $cmudict ]]; then
  echo "$0: error: --corpus or --cmudict is missing; give the directory of the audio and the file cmudict.0.7a" >&2
  exit 2
fi
if [[ $mic != ihm && $mic != sdm1 && $mic != mdm8 ]]; then
  echo "$0: error: --mic '$mic': wanted ihm, sdm1 or mdm8" >&2
  exit 2
fi
for option in corpus annotations cmudict wordlist fisher glm; do
  if [[ ${!option} ]]; then printf -v "$option" %s "$(caller_path "${!option}")"; fi
done
if [[ $conf != conf && $conf != conf/* ]]; then conf=$(caller_path "$conf"); fi
# shellcheck source=conf/sizes.sh
. "$conf/sizes.sh"
dev=dev tests=eval chunk=150 speakers=_30s nist_of_dev=true own_count=true
points=(--lmwt 5:15 --wip 0) # those of Kaldi's score_asclite.sh for chain models
ihm=$data/ihm lm=$data/lm lang=$data/lang dict=$data/dict exp=$work/exp/$mic flat=$work/exp/ihm/flat_s0
data=$data/$mic # where table1.sh finds the sets
. ../../utils/table1.sh

if $dry_run; then show_costs "${hours[$mic]}"; fi

# The sets that the flat-start system hears: by headset, with the ids of $mic.
heard=""
if [[ $mic != ihm ]]; then heard=_heard; fi
mics=ihm
if [[ $mic != ihm ]]; then mics+=" $mic"; fi

if stage 0 "prepare the data" "10 minutes" "1 GB"; then
  for each in $mics; do
    # eval comes last; --overwrite, as some may be there of a run that was stopped before that
    make "$work/data/$each/eval" chainstitch prepare ami "$corpus" "$work/data/$each" --mic "$each" \
      ${annotations:+--annotations "$annotations"} --overwrite
  done
  make "$dict" chainstitch prepare ami-dict "$cmudict" "$dict" --data "$ihm/train" \
    ${wordlist:+--words "$wordlist"}
  if [[ $fisher ]]; then
    make "$work/data/fisher_text" chainstitch prepare fisher "$fisher" "$work/data/fisher_text" --style ami
  fi
fi

if stage 1 "speakers of 30 s" "2 minutes" "500 MB"; then
  for each in $mics; do
    for set in train dev eval; do
      make "$work/data/$each/${set}_30s" chainstitch data split-speakers "$work/data/$each/$set" --seconds 30 \
        --out "$work/data/$each/${set}_30s"
    done
  done
  if [[ $heard ]]; then
    for set in train dev; do
      make "$data/${set}_30s_heard" chainstitch data parallel "$data/${set}_30s" "$ihm/${set}_30s" \
        --out "$data/${set}_30s_heard"
    done
  fi
fi

model=$lm/ami${fisher:+_fisher}.o3g.arpa.gz
pruned=$lm/ami${fisher:+_fisher}.o3g.pr.arpa.gz
if stage 2 "language model" "30 minutes" "2 GB"; then
  words=(--vocab "$dict/vocabulary.txt" --order 3)
  make "$lm/ami.o3g.arpa.gz" chainstitch lm train "$ihm/train" "${words[@]}" --out "$lm/ami.o3g.arpa.gz"
  if [[ $fisher ]]; then
    make "$lm/fisher.o3g.arpa.gz" chainstitch lm train "$work/data/fisher_text/lm.txt.gz" "${words[@]}" \
      --out "$lm/fisher.o3g.arpa.gz"
    make "$model" chainstitch lm mix "$lm/ami.o3g.arpa.gz" "$lm/fisher.o3g.arpa.gz" --heldout "$ihm/dev" \
      --out "$model"
  fi
  make "$pruned" chainstitch lm prune "$model" --threshold "$lm_prune" --method weighted-difference \
    --out "$pruned"
  chainstitch lm perplexity "$pruned" "$ihm/dev"
fi

if stage 3 "lexicon and search graph's language model" "3 minutes" "500 MB"; then
  make "$lang" chainstitch lang "$dict" --oov unk --lm "$pruned" --out "$lang"
fi

if stage 4 "features (40 MFCC; training at three speeds)" "2 hours by one job" "30 GB"; then
  data=$ihm features_of train_30s --augment
  data=$ihm features_of_tests train_30s
  if [[ $mic != ihm ]]; then
    features_of train_30s --augment
    features_of_tests train_30s
    make "$data/dev_heard_hires" extract_features "$(config mfcc.toml)" "$data/dev_30s_heard" \
      "$data/dev_heard_hires" --prior "$ihm/train_30s_hires"
  fi
fi

if stage 5 "flat-start system, of the headsets" "4 hours of a GPU" "500 MB"; then
  data=$ihm exp=$work/exp/ihm flat_start train_30s
fi

train=train_30s$heard
if $cleanup; then train=train_cleaned$heard; fi
if stage 6 "clean-up of the transcripts; short segments joined" "2 hours" "20 GB"; then
  if $cleanup; then
    clean_up "train_30s$heard" "$data/$train" --set min_segment=0.3 --set min_new_segment=0.6
  fi
  make "$data/train_comb$heard" chainstitch data combine-short "$data/$train" --min 1.55 \
    --out "$data/train_comb$heard"
  features_of "train_comb$heard" --augment
  if [[ $heard ]]; then
    make "$data/train_comb" chainstitch data parallel "$data/train_comb$heard" "$data/train_30s" \
      --out "$data/train_comb"
    features_of train_comb --augment
  fi
fi

if stage 7 "alignments" "2 hours" "2 GB"; then
  align_with_flat train_comb "train_comb$heard"
  align_with_flat dev "dev$heard"
fi

if stage 8 "context tree and denominator graph" "30 minutes" "100 MB"; then
  tree_and_den train_comb tdnn_lstm_1j
fi

if stage 9 "i-vectors" "2 hours" "5 GB"; then ivectors_of train_30s train_comb; fi

if stage 10 "train" "6 to 14 hours of a GPU a system" "4 GB a system"; then train_all train_comb; fi

if stage 11 "combine the last models" "1 hour of a GPU a system" "300 MB a system"; then combine_all; fi

if stage 12 "decode dev and eval, by chunks and by whole utterances" "2 hours a system" "500 MB a system"; then
  decode_all
fi

if stage 13 "score, choosing the LM weight on dev" "20 minutes a system" "10 MB a system"; then
  how=(--rule ami --glm "${glm:-conf/small.glm}")
  if [[ $mic != ihm ]]; then how+=(--overlap 4); fi
  for system in "${systems[@]}"; do
    for kind in "" _whole; do
      for set in dev eval; do score_one "$system" "$set" "$kind" --stm "$data/$set/stm" "${how[@]}"; done
    done
  done
  if [[ ! $glm ]]; then echo "conf/small.glm is not NIST's: these figures do not compare with published ones"; fi
fi

if stage 14 "compare" "1 minute"; then
  show_scores
  chainstitch compare "${systems[@]}"
fi
