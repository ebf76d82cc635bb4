# shellcheck shell=bash disable=SC2154 # the options, from the recipe
# Stage 0, a function for each kind of data, sourced by run.sh. Each makes
#
#   $data/tune/{train,valid}             what rates are chosen on
#   $data/report/{train,valid}           what is reported, of which nothing is in tune/
#   $data/{tune,report}/den.npz, $data/lang, $data/report/{choose,test}     of speech, also
#
# Whatever lies there of an attempt that did not come to its end is made again.

need_corpus() { # WHAT
  if [[ ! $corpus ]]; then
    echo "$0: error: --corpus is missing; give $1" >&2
    exit 2
  fi
}

# The features of PART's train set, and of its others with that as a prior of the mean.
part_features() { # PART CONF SETS...
  local part=$data/$1 conf=$2 set
  chainstitch features "$conf" --data "$part/set_train" --out "$part/train" --overwrite
  for set in "${@:3}"; do
    chainstitch features "$conf" --data "$part/set_$set" --out "$part/$set" --prior "$part/train" \
      --overwrite
  done
  chainstitch den-graph conf/nets/tdnn.toml --data "$part/set_train" --lang "$data/lang" \
    --out "$part/den.npz" --overwrite
}

prepare_speech() {
  local source=$work/corpus set
  if [[ $corpus ]]; then
    source=$(caller_path "$corpus")
  elif [[ ! -e $source ]]; then
    python ../mini/local/make_corpus.py --out "$source"
  fi
  for set in train dev test; do
    chainstitch prepare kaldi "$source/$set" "$data/all/$set" --overwrite
  done
  chainstitch lang ../mini/local/lexicon.txt --out "$data/lang" --text "$data/all/train" --overwrite
  python local/part_of_set.py "$data/all/train" "$data/tune/set_train" --every 4 --first 0 --overwrite
  python local/part_of_set.py "$data/all/train" "$data/report/set_train" --every 4 --first 1 --overwrite
  python local/part_of_set.py "$data/all/dev" "$data/tune/set_valid" --overwrite
  python local/part_of_set.py "$data/all/dev" "$data/report/set_choose" --overwrite
  python local/part_of_set.py "$data/all/test" "$data/report/set_valid" --overwrite
  part_features tune ../mini/conf/mfcc.toml valid
  part_features report ../mini/conf/mfcc.toml valid choose
  ln -sfn valid "$data/report/test" # the voices that nothing was chosen on
}

# Strings of four speakers: each recording is in one of them, so that a quarter of the strings is a
# quarter of the recordings. Another speaker is held out to tune on, and another one to report on.
prepare_digits() {
  need_corpus "the directory that holds recordings/ of the Free Spoken Digit Dataset"
  local all=$data/all
  chainstitch prepare digits "$(caller_path "$corpus")" "$all" --protocol heldout-george+theo --overwrite
  chainstitch lang ../digits/local/lexicon.txt --out "$data/lang" --grammar uniform --overwrite
  python local/part_of_set.py "$all/train" "$data/tune/set_train" --having string --every 4 --first 0 \
    --overwrite
  python local/part_of_set.py "$all/train" "$data/report/set_train" --having string --every 4 --first 1 \
    --overwrite
  python local/part_of_set.py "$all/test_strings" "$data/tune/set_valid" --speakers george --overwrite
  python local/part_of_set.py "$all/test_strings" "$data/report/set_valid" --speakers theo --overwrite
  python local/part_of_set.py "$all/dev_strings" "$data/report/set_choose" --overwrite
  part_features tune ../digits/conf/mfcc.toml valid
  part_features report ../digits/conf/mfcc.toml valid choose
  ln -sfn valid "$data/report/test" # the voice that nothing was chosen on
}

prepare_mnist() {
  need_corpus "the directory of MNIST's idx.gz files"
  chainstitch prepare mnist "$(caller_path "$corpus")" "$data/all" --overwrite
  image_parts 1000 50000
}

prepare_cifar10() {
  need_corpus "the unpacked archive of CIFAR-10"
  chainstitch prepare cifar10 "$(caller_path "$corpus")" "$data/all" --overwrite
  image_parts 5000 45000
}

image_parts() { # IMAGES FIRST: so many to train on; the first one of 5,000 to tune on
  part_of_images train tune/train 0 "$1"
  part_of_images train tune/valid "$2" 5000
  part_of_images train report/train "$1" "$1"
  part_of_images test report/valid 0 10000
}

part_of_images() { # SET OUT FIRST COUNT
  python local/part_of_images.py "$data/all/$1" "$data/$2" --first "$3" --count "$4" --overwrite
}
