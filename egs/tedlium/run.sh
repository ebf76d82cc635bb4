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
. local/steps.sh

if [[ $conf != conf && $conf != conf/* ]]; then conf=$(caller_path "$conf"); fi
if [[ $corpus ]]; then corpus=$(caller_path "$corpus"); fi
# shellcheck source=conf/sizes.sh
. "$conf/sizes.sh"
exp=$work/exp lm=$data/lm lang=$data/lang ali=$exp/ali
sets="dev test"

config() { if [[ -e $conf/$1 ]]; then echo "$conf/$1"; else echo "conf/$1"; fi; } # FILE

# A system is exp/NET_FORM_sSEED.
systems=()
for net in $nets; do
  for form in $forms; do
    if [[ $form != baseline && $form != backstitch ]]; then
      echo "$0: error: --forms '$form': wanted some of baseline backstitch" >&2
      exit 2
    fi
    for seed in $seeds; do systems+=("$exp/${net}_${form}_s$seed"); done
  done
done
net_of() { local name=${1##*/}; echo "${name%_*_s*}"; } # EXP
passes_of() { # EXP
  local name=${1##*/} variable=chain_passes
  if [[ $name == lfr_ce_* ]]; then variable=ce_passes; fi
  if [[ $name == *_backstitch_s* ]]; then variable+=_backstitch; fi
  echo "${!variable}"
}

if $dry_run; then
  # hours of release 2 that are left after Kaldi's clean-up, at three speeds
  for system in "${systems[@]}"; do
    echo "== ${system##*/}"
    command chainstitch info "$conf/$(net_of "$system").toml" --num-pdfs "$num_pdfs" --hours 613.4 \
      --passes "$(passes_of "$system")" | grep -E '^(parameters|archives|iterations|hours|gigabytes)'
  done
fi

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
  for set in $sets; do
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
  features_of_sets
fi

flat=$exp/flat_s0
if stage 6 "flat-start system" "10 hours of a GPU" "500 MB"; then
  make "$exp/den_flat.npz" chainstitch den-graph "$(config flat.toml)" --data "$data/train_180s" \
    --lang "$lang" --out "$exp/den_flat.npz"
  train_one "$(config flat.toml)" "$flat" 0 train_180s_hires "$exp/den_flat.npz"
  make "$flat/final.pt" combine_system "$flat"
fi

clean=train_180s
if $cleanup; then clean=train_cleaned; fi
if stage 7 "clean-up of the transcripts; short segments joined" "4 hours" "30 GB"; then
  if $cleanup; then
    make "$data/train_180s_plain" extract_features conf/mfcc.toml "$data/train_180s" "$data/train_180s_plain"
    make "$exp/cleanup" cleanup_jobs "$flat" "$data/train_180s_plain" "$exp/cleanup"
    make "$data/train_cleaned" chainstitch cleanup cut "$exp/cleanup" --data "$data/train_180s" \
      --lang "$lang" --out "$data/train_cleaned"
  fi
  make "$data/train_comb" chainstitch data combine-short "$data/$clean" --min 1.55 --out "$data/train_comb"
  features_of train_comb --augment
fi

if stage 8 "alignments; pronunciation and silence probabilities" "2 hours" "2 GB"; then
  for set in train_comb dev; do
    make "$ali/$set" chainstitch align "$flat" --data "$data/${set}_hires" --lang "$lang" \
      --no-textgrid --device "$device" --out "$ali/$set"
  done
  if $probs; then
    make "$data/dict_probs" chainstitch lang-probs "$ali/train_comb" --lang "$lang" \
      --out "$data/dict_probs"
    make "$data/lang_probs" chainstitch lang "$data/dict_probs" --oov unk --lm "$lm/small.arpa.gz" \
      --out "$data/lang_probs"
  fi
fi
if $probs; then lang=$data/lang_probs; fi

if stage 9 "context tree and denominator graph" "30 minutes" "100 MB"; then
  make "$exp/tree" chainstitch tree --data "$data/train_comb_hires" --ali "$ali/train_comb" \
    --lang "$lang" --leaves "$leaves" --out "$exp/tree"
  make "$exp/den.npz" chainstitch den-graph "$conf/tdnn_lstm_1v.toml" --ali "$ali/train_comb" \
    --lang "$lang" --tree "$exp/tree" --out "$exp/den.npz"
fi

if stage 10 "i-vectors" "2 hours" "5 GB"; then
  make "$exp/ivector" chainstitch ivectors train "$(config ivector.toml)" \
    --data "$data/train_180s_hires" --out "$exp/ivector"
  # as Kaldi does: in training no more than two utterances know of each other
  make "$data/train_comb_hires/ivectors.h5" chainstitch ivectors extract "$exp/ivector" \
    --data "$data/train_comb_hires" --online --per-speaker --utterances 2
  for set in $sets; do
    make "$data/${set}_hires/ivectors.h5" chainstitch ivectors extract "$exp/ivector" \
      --data "$data/${set}_hires" --online --per-speaker
  done
fi

if stage 11 "train" "7 to 16 hours of a GPU a system" "4 GB a system"; then
  for system in "${systems[@]}"; do
    more=(--set "training.passes=$(passes_of "$system")" --ali "$ali/train_comb" --valid-ali "$ali/dev")
    if [[ $system == *_baseline_s* ]]; then more+=(--set optim.backstitch.scale=0); fi
    train_one "$conf/$(net_of "$system").toml" "$system" "${system##*_s}" train_comb_hires \
      "$exp/den.npz" "${more[@]}"
  done
fi

if stage 12 "combine the last models" "1 hour of a GPU a system" "300 MB a system"; then
  for system in "${systems[@]}"; do make "$system/final.pt" combine_system "$system"; done
fi

if stage 13 "decode dev and test, by chunks and by whole utterances" "2 hours a system" "500 MB a system"; then
  for system in "${systems[@]}"; do
    for set in $sets; do
      # shellcheck disable=SC2046 # options are words
      make "$system/decode_${set}" decode_part "$system" "$set" "decode_$set" $(chunks_of "$system")
      make "$system/decode_${set}_whole" decode_part "$system" "$set" "decode_${set}_whole"
    done
  done
fi

if stage 14 "rescore with the big language model" "1 hour a system" "100 MB a system"; then
  for system in "${systems[@]}"; do
    for set in $sets; do
      make "$system/decode_${set}_big" chainstitch rescore "$system/decode_$set" --lang "$lang" \
        --arpa "$lm/big.arpa.gz" "${points[@]}" --mbr --all-times --out "$system/decode_${set}_big"
    done
  done
fi

if stage 15 "score, choosing LM weight and penalty on dev; compare" "5 minutes a system" "10 MB a system"; then
  for system in "${systems[@]}"; do
    for kind in "" _whole _big; do score_kind "$system" "$kind"; done
  done
  chainstitch compare "${systems[@]}"
fi
