# shellcheck shell=bash
# The systems of a recipe, one for each variant and seed, sourced by egs/*/run.sh after recipe.sh.
#
# From the recipe's options $work $conf $name $seeds $passes $override $without $nj $device it makes
#   data      $work/data; $lang, if the recipe has set it, is in the place of $data/lang
#   variants  the experiment names without seed: $name, and ${name}_without_PART for each of $without
#   settings  --set ... for `chainstitch train`
#   against   --baseline ... for `chainstitch compare`, or nothing
# a step of the data, one job for each of $nj shares:
#   extract_features CONF SET OUT [OPTIONS]   of `chainstitch features`
# and the steps that every system takes:
#   train_system EXP SEED DATA VALID DEN   without the part that its name says, if it says one
#   decode_system EXP DATA [KIND]          DATA/dev[_KIND]_hires, then DATA/test[_KIND]_hires with
#                                          the LM weight and penalty that are best on dev
#   combine_system EXP
#   score_system EXP [KIND]                the %WER line of test
#   align_system EXP DATA OUT TRUTH...     times of words by $align_options, against known ones
# For a recipe with one train, one dev and one test set, `stages_4_to_9` is all the rest: den-graph,
# train, combine, decode, score, plot; it wants the time and disk that a seed takes in stages 5 to 7.

# shellcheck disable=SC2154 # the options, from the recipe
if [[ $work != . ]]; then work=$(caller_path "$work"); fi
data=$work/data
settings=()
if [[ $passes ]]; then settings+=(--set "training.passes=$passes"); fi
# shellcheck disable=SC2154
for _setting in $override; do settings+=(--set "$_setting"); done
# shellcheck disable=SC2034,SC2154
variants=$name
# shellcheck disable=SC2034
against=()
# shellcheck disable=SC2154
for _part in $without; do
  case $_part in
    backstitch | natural_gradient | max_change) variants+=" ${name}_without_$_part" ;;
    *)
      echo "$0: error: --without '$_part': wanted some of backstitch natural_gradient max_change" >&2
      exit 2
      ;;
  esac
  # shellcheck disable=SC2034
  against=(--baseline "$name")
done

extract_features() {
  local command=(chainstitch features "$1" --data "$2" --out "$3" "${@:4}" "${overwrite_flag[@]}")
  # shellcheck disable=SC2154 # from cmd.sh
  $train_cmd JOB=1:"$nj" "${3%/*}/log/features_${3##*/}.JOB.log" "${command[@]}" --part "JOB/$nj"
  "${command[@]}" --merge "$nj"
}

train_system() {
  local exp=$1 seed=$2 train=$3 valid=$4 den=$5 step=()
  case ${exp##*/} in
    *_without_backstitch_*) step=(--set optim.backstitch.scale=0) ;;
    *_without_natural_gradient_*) step=(--set optim.natural_gradient=false) ;;
    *_without_max_change_*) step=(--set optim.max_change=0 --set optim.layer_max_change=false) ;;
  esac
  $(cmd_on_device) --follow "$work/exp/log/${exp##*/}.train.log" \
    chainstitch train "$conf" --data "$train" --valid "$valid" --lang "${lang:-$data/lang}" --den "$den" \
    --out "$exp" --seed "$seed" --device "$device" --resume auto --jobs-cmd "$(cmd_on_device)" \
    "${settings[@]}" "${step[@]}" "${overwrite_flag[@]}"
}

combine_system() {
  $(cmd_on_device) --follow "$work/exp/log/${1##*/}.combine.log" \
    chainstitch combine "$1" --device "$device" "${overwrite_flag[@]}"
}

cmd_on_device() { # how a job is started that moves a network's parameters
  # shellcheck disable=SC2154
  if [[ $device == cpu ]]; then echo "$train_cmd"; else echo "$cuda_cmd"; fi
}

decode_system() {
  local exp=$1 sets=$2 kind=${3:+_$3}
  decode_set "$exp" "$sets/dev${kind}_hires" "decode_dev$kind"
  chainstitch score "$exp/decode_dev$kind"
  decode_set "$exp" "$sets/test${kind}_hires" "decode_test$kind" \
    --choice "$exp/decode_dev$kind/choice.toml"
}

decode_set() { # EXP DATA NAME [OPTIONS], one job for each of $nj shares
  local command=(chainstitch decode "$1" --data "$2" --lang "${lang:-$data/lang}" --out "$1/$3" --nj 1
    --device "$device" "${@:4}" "${overwrite_flag[@]}")
  # shellcheck disable=SC2154
  $decode_cmd JOB=1:"$nj" "$1/log/$3.JOB.log" "${command[@]}" --part "JOB/$nj"
  "${command[@]}" --merge "$nj"
}

score_system() {
  local exp=$1 kind=${2:+_$2}
  chainstitch score "$exp/decode_test$kind" --choice "$exp/decode_dev$kind/choice.toml"
}

align_system() {
  local exp=$1 sets=$2 out=$3 truth
  # shellcheck disable=SC2154,SC2086 # options are words
  chainstitch align "$exp" --data "$sets" --lang "$data/lang" --out "$out" --device "$device" \
    $align_options "${overwrite_flag[@]}"
  for truth in "${@:4}"; do
    echo "$truth"
    chainstitch score-ali "$truth" "$out"
  done
}

stages_4_to_9() { # TIME DISK (of train) TIME DISK (combine) TIME DISK (decode)
  local systems=() variant seed exp
  for variant in $variants; do
    # shellcheck disable=SC2154
    for seed in $seeds; do systems+=("$work/exp/${variant}_s$seed"); done
  done
  if stage 4 "denominator graph" "5 s" "1 MB"; then
    chainstitch den-graph "$conf" --data "$data/train" --lang "$data/lang" \
      --out "$work/exp/den.npz" "${overwrite_flag[@]}"
  fi
  if stage 5 "train" "$1 a seed" "$2 a seed"; then
    for exp in "${systems[@]}"; do
      train_system "$exp" "${exp##*_s}" "$data/train_hires" "$data/dev_hires" "$work/exp/den.npz"
    done
  fi
  if stage 6 "combine the last models" "$3 a seed" "$4 a seed"; then
    for exp in "${systems[@]}"; do combine_system "$exp"; done
  fi
  if stage 7 "decode dev and test; choose LM weight and penalty on dev" "$5 a seed" "$6 a seed"; then
    for exp in "${systems[@]}"; do decode_system "$exp" "$data"; done
  fi
  if stage 8 "score" "5 s a seed" "1 MB"; then
    for exp in "${systems[@]}"; do score_system "$exp"; done
  fi
  if stage 9 "plot the objective and compare" "10 s" "1 MB"; then
    chainstitch plot "${systems[@]}" --out "$work/exp/objective.png"
    chainstitch compare "${systems[@]}" "${against[@]}"
  fi
}
