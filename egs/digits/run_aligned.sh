#!/usr/bin/env bash
# The rows of the backstitch paper's Table 1, in small: TDNN-LSTM and BLSTM, by LF-MMI and by
# cross-entropy (lfr_ce: at the low frame rate of LF-MMI and on its tree, where the paper's has every
# frame and three states a phone), on alignments of the flat-start system of run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=9
nj=2
device=auto
overwrite=false
work=. # as given to run.sh, which has made data/ and the flat-start systems there
protocols="heldout-george heldout-theo"
flat=tdnn_1a # name of the flat-start system, seed 0 of which aligns
leaves=80
mono=false
nets="tdnn_lstm_1a blstm_1a lfr_ce_tdnn_lstm_1a lfr_ce_blstm_1a"
forms="baseline longer backstitch"
seeds="0"
passes=2 # of the baseline
longer=3 # of the longer baseline, and of backstitch

help_message="Usage: egs/digits/run_aligned.sh [--stage N] [--stop-stage M] [options]
Aligns the training data with the flat-start systems of run.sh (stages 0 to 6 of it, with the same
--protocols), makes a tree, and trains and decodes four systems on them, each in three forms:
without backstitch, the same with as many passes over the data as with it, and with it.
  --protocols 'P Q'  as of run.sh (default '$protocols')
  --nets 'A B'       of conf/A.toml (default '$nets');
                     A_ivector: the same with i-vectors (conf/ivector.toml) beside the features
  --forms 'F G'      of: baseline longer backstitch (default '$forms')
  --seeds 'A B'      one of each per protocol and seed (default '$seeds')
  --passes P         of the baseline (default $passes); --longer E: of the others (default $longer)
  --leaves N         of the tree (default $leaves)
  --mono true        no tree, two pdfs a phone: for comparison, in exp/NET_mono_FORM_*
  --flat NAME        of the flat-start system (default $flat)
  --work DIR         where data/ and exp/ are (default: this directory)
  --nj N             jobs for decoding (default $nj)
  --device D         auto, cpu or cuda (default $device)
  --overwrite true   replace what earlier runs made
Example: egs/digits/run.sh --corpus free-spoken-digit-dataset --stop-stage 6 \\
           --protocols 'heldout-george heldout-theo'
         egs/digits/run_aligned.sh --seeds '0 1 2'"

. ./path.sh
. ./cmd.sh
. ../../utils/parse_options.sh
# of systems.sh, and no options here
override="" without="" conf="" name=""
. ../../utils/recipe.sh
. ../../utils/systems.sh
. local/stages.sh

den=den_tree variant=""
if $mono; then den=den_mono variant=_mono; fi
voiced="" # the nets with i-vectors
for net in $nets; do if [[ $net == *_ivector ]]; then voiced+=" $net"; fi; done

systems=() # and of each its protocol, config and settings
of=()
confs=()
ways=()
for net in $nets; do
  for form in $forms; do
    case $form in
      baseline) way="training.passes=$passes optim.backstitch.scale=0" ;;
      longer) way="training.passes=$longer optim.backstitch.scale=0" ;;
      backstitch) way="training.passes=$longer" ;;
      *)
        echo "$0: error: --forms '$form': wanted some of baseline longer backstitch" >&2
        exit 2
        ;;
    esac
    for protocol in $protocols; do
      for seed in $seeds; do
        systems+=("$work/exp/${net}${variant}_${form}_${protocol}_s$seed")
        of+=("$protocol")
        if [[ $net == *_ivector ]]; then place=$work/exp/conf; else place=conf; fi
        confs+=("$place/$net.toml")
        ways+=("$way")
      done
    done
  done
done

if stage 0 "align training and dev data" "1 minute a protocol" "10 MB a protocol"; then
  for protocol in $protocols; do
    for set in train dev_strings; do
      chainstitch align "$work/exp/${flat}_${protocol}_s0" --data "$data/$protocol/${set}_hires" \
        --lang "$data/lang" --out "$work/exp/ali_$protocol/$set" --no-textgrid \
        --device "$device" "${overwrite_flag[@]}"
    done
  done
fi

if ! $mono && stage 1 "context trees" "10 s a protocol" "1 MB"; then
  for protocol in $protocols; do
    chainstitch tree --data "$data/$protocol/train_hires" --ali "$work/exp/ali_$protocol/train" \
      --lang "$data/lang" --out "$work/exp/tree_$protocol" --leaves "$leaves" "${overwrite_flag[@]}"
  done
fi

if stage 2 "denominator graphs${voiced:+, i-vectors}" "5 s${voiced:+ to 3 minutes} a protocol" \
  "1 MB${voiced:+ to 30 MB a protocol}"; then
  for net in $voiced; do
    python local/with_ivectors.py "conf/${net%_ivector}.toml" conf/ivector.toml \
      --out "$work/exp/conf/$net.toml"
  done
  for protocol in $protocols; do
    with=(--tree "$work/exp/tree_$protocol")
    if $mono; then with=(); fi
    chainstitch den-graph "${confs[0]}" --ali "$work/exp/ali_$protocol/train" --lang "$data/lang" \
      "${with[@]}" --out "$work/exp/${den}_$protocol.npz" "${overwrite_flag[@]}"
    if [[ $voiced ]]; then make_ivectors "$protocol"; fi
  done
fi

if stage 3 "train" "2 minutes a system" "60 MB a system"; then
  for n in "${!systems[@]}"; do
    # shellcheck disable=SC2034 # for train_system
    conf=${confs[n]} settings=()
    for setting in ${ways[n]}; do settings+=(--set "$setting"); done
    ali=$work/exp/ali_${of[n]} here=$data/${of[n]} exp=${systems[n]}
    settings+=(--ali "$ali/train" --valid-ali "$ali/dev_strings")
    train_system "$exp" "${exp##*_s}" "$here/train_hires" "$here/dev_strings_hires" \
      "$work/exp/${den}_${of[n]}.npz"
  done
fi

combine_decode_score 4

if stage 7 "compare" "10 s" "1 MB"; then
  chainstitch compare "${systems[@]}" --folds "${protocols// /,}"
fi
