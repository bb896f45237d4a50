#!/usr/bin/env bash
# What is wrong with pictures, folders, checkpoints and arguments ends in one sentence and a code that is not 0, and nothing is lost.
source "$(dirname "$0")/trainer.bash"
"$make_leaves" leaves 3 64
train=(--batch 8 --epochs 3 --threads 1 --out)
healthy=Tomato___healthy
answers 0 train leaves "${train[@]}" whole

# like NAME: a copy of the good pictures.
like() { cp -r leaves "$1"; }

# --- arguments
refuses 2 "--out is required" train leaves
refuses 2 "--size: 65 not in" train leaves --out run --size 65
for epochs in 0 -1 ten 1.5 1,5 1000001 9999999999999999999; do
  refuses 2 "--epochs: $epochs is not a whole number from 1 to 1000000" train leaves --out run --epochs $epochs
done
refuses 2 "--recipe: sourdough not in" train leaves --out run --recipe sourdough
refuses 2 "--seed: -1 is not a whole number" train leaves --out run --seed -1
refuses 2 "--seed: 18446744073709551616 is not a whole number from 0 to 18446744073709551615" train leaves --out run --seed 18446744073709551616
refuses 2 "--lr: nan is not a number from" train leaves --out run --lr nan
refuses 2 "--lr: 0 is not a number from" train leaves --out run --lr 0
refuses 2 "--validation: 1 is not a number from" train leaves --out run --validation 1
refuses 2 "--stop-after: 0 is not a whole number from 1 to 1000000000" train leaves --out run --stop-after 0
refuses 2 "PICTURE is required" predict run
refuses 2 "a command is missing: give train, evaluate, predict or summary"
refuses 2 "there is no option --frob" --frob
refuses 2 "there is no option --frob" train leaves --out run --frob
refuses 2 "there is no place for more" train leaves more --out run
grep -qx "tomato train --help says more." complained || fail "it does not say where help is"
refuses 2 "--seed has no value: give one" train leaves --out run --seed
refuses 2 "--out is given more than once: give it once" train leaves --out run --out run
refuses 1 "--tune is for --device cuda" train leaves --out run --tune races
refuses 2 "--json takes no value: leave it out" evaluate run leaves --json=maybe
refuses 2 "fro?b is no command" $'fro\nb'
refuses 2 "frobnicate is no command: give train, evaluate, predict or summary" frobnicate
refuses 2 "DATA: the path is empty" train "" --out run
refuses 2 "--out: the path is empty" train leaves --out ""
refuses 2 "DATA: the path is empty" evaluate run ""
refuses 2 "MODEL: the path is empty" evaluate "" leaves
refuses 2 "PICTURE: the path is empty" predict run leaves ""
refuses 1 "--precision bf16 is for --device cuda" predict run leaves --precision bf16
[[ ! -e run ]] || fail "bad arguments leave a folder"

# --- folders of pictures
refuses 1 "there is no folder nowhere" train nowhere "${train[@]}" run
refuses 1 "$make_leaves is a file, not a folder" train "$make_leaves" "${train[@]}" run
like empty && rm empty/$healthy/*
refuses 1 "the class folder empty/$healthy holds no pictures" train empty "${train[@]}" run
mkdir one && cp -r leaves/$healthy one
refuses 1 "one holds one class folder, $healthy" train one "${train[@]}" run
like nine && rm -r nine/$healthy
refuses 1 "nine has 9 classes and this program was built for 10: build one with cmake --preset release -B build/9 -DLAMINA_TOMATO_CLASSES=9 && cmake --build build/9 --target tomato" train nine "${train[@]}" run
mkdir divided && like divided/train && like divided/val && rm -r divided/val/$healthy
refuses 1 "divided/val has no folder for the class $healthy" train divided "${train[@]}" run
mv divided/val divided/valid
refuses 1 "divided holds a folder train and none called val: give that name to the folder of the other pictures, or give divided/train alone" train divided "${train[@]}" run
mv divided/valid valid
refuses 1 "divided holds a folder train and none called val" train divided "${train[@]}" run
touch divided/val
refuses 1 "divided holds a folder train and none called val" train divided "${train[@]}" run
rm divided/val && mv divided/train divided/val
refuses 1 "divided holds a folder val and none called train" train divided "${train[@]}" run
mkdir trains && cp -r leaves/$healthy trains/train && cp -r leaves/$healthy trains/bus
refuses 1 "trains has 2 classes and this program was built for 10" train trains "${train[@]}" run    # a class may be called train
"$make_leaves" single 1 64
refuses 1 "single has one picture of each class" train single "${train[@]}" run
like latin && mv latin/$healthy latin/$'Tomato_gr\xfcn'
refuses 1 "is not UTF-8" train latin "${train[@]}" run
mv divided/val divided/train && like divided/val
refuses 1 "--validation divides a folder that has no val/, and divided has one: leave it out" train divided --validation 0.2 --out run
refuses 1 "and the generated leaves are divided: leave it out" train --validation 0.2 --out run
[[ ! -e run ]] || fail "refused pictures leave a folder"

# --- pictures
like bad
head -c 1000 "leaves/$healthy/leaf 0.png" > "bad/$healthy/cut short.png"
lines=2 refuses 1 "1 picture cannot be used" train bad "${train[@]}" run
grep -qF "tomato: the picture bad/$healthy/cut short.png cannot be used: it is a PNG that ends before its end" complained || fail "it does not say which picture is cut short"
echo "not a picture" > bad/$healthy/text.jpg
printf '\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0' > bad/$healthy/short.jpg
: > bad/$healthy/empty.jpeg
ln -s nowhere bad/$healthy/broken.png
lines=6 refuses 1 "5 pictures cannot be used" train bad "${train[@]}" run
for name in "cut short.png" text.jpg short.jpg empty.jpeg broken.png; do
  [[ $(grep -cF "bad/$healthy/$name" complained) == 1 ]] || fail "$name is not named once"
done

grep -qF "or leave such out: --on-bad-image skip" complained || fail "it does not say how to train without them"
refuses 2 "--on-bad-image: ignore not in" train bad "${train[@]}" run --on-bad-image ignore
[[ ! -e run/last.safetensors ]] || fail "bad pictures begin a training"

lines=5 refuses 1 "cannot be used" evaluate whole bad
[[ $(wc -l < complained) == 5 ]] || fail "evaluate does not name each of the five pictures that it cannot use"

# --- pictures that are left out: named, counted, and as if they had never been there
mkdir whole_set spoilt_set && cp -r leaves whole_set/train && cp -r leaves whole_set/val && cp -r bad spoilt_set/train && cp -r leaves spoilt_set/val
: > spoilt_set/val/$healthy/empty.png
skip=(--batch 8 --epochs 2 --on-bad-image skip --out)
answers 0 train whole_set "${skip[@]}" whole_run
[[ ! -s complained ]] || fail "it complains of good pictures"
grep -q '"left_out_training_pictures": 0' whole_run/metrics.json || fail "the metrics do not count what is left out"
! grep -q "left out" whole_run/report.html || fail "the report speaks of pictures left out where there are none"
answers 0 train spoilt_set "${skip[@]}" skipping --stop-after 5
[[ $(wc -l < complained) == 6 ]] || fail "it does not name each of the six pictures that it leaves out"
grep -qx "6 pictures cannot be used and are left out: 30 training and 30 validation pictures remain" said || fail "it does not count the pictures that it leaves out"
refuses_to_go_on() {
  cp -r skipping kept_run
  lines=7 refuses 1 "$@"
  same skipping/last.safetensors kept_run/last.safetensors
  rm -r kept_run
}
refuses_to_go_on "6 pictures cannot be used" train spoilt_set --batch 8 --epochs 2 --out skipping
cp "leaves/$healthy/leaf 0.png" spoilt_set/train/$healthy/text.jpg                 # repaired: other pictures now
refuses_to_go_on "skipping holds a training with these settings on other data (30 training and 30 validation pictures" train spoilt_set "${skip[@]}" skipping
echo "not a picture" > spoilt_set/train/$healthy/text.jpg
answers 0 train spoilt_set "${skip[@]}" skipping --replicas 2                      # the same for all replicas
[[ $(wc -l < complained) == 6 ]] || fail "replicas do not name each picture once"
same whole_run/last.safetensors skipping/last.safetensors
grep -q '"left_out_training_pictures": 5' skipping/metrics.json && grep -q '"left_out_validation_pictures": 1' skipping/metrics.json || fail "the metrics do not count what is left out"
grep -q "; left out: 6 that cannot be used" skipping/report.html || fail "the report does not count what is left out"
rm spoilt_set/*/$healthy/* && cp bad/$healthy/text.jpg spoilt_set/train/$healthy && cp "leaves/$healthy/leaf 0.png" spoilt_set/val/$healthy
lines=2 refuses 1 "of the class $healthy in spoilt_set/train no picture can be used" train spoilt_set --batch 8 --epochs 2 --on-bad-image skip --out none_left

# --- names that would give a terminal orders
like $'odd\e[31m\nred'
head -c 1000 "leaves/$healthy/leaf 0.png" > $'odd\e[31m\nred/'"$healthy/"$'cut\e[2J\nshort.png'
lines=2 refuses 1 "tomato: the picture odd?[31m?red/$healthy/cut?[2J?short.png cannot be used" train $'odd\e[31m\nred' "${train[@]}" run
grep -qF ", odd?[31m?red, divided by chance" said || fail "it does not print the name of the folder"
refuses 1 "tomato: the picture odd?[31m?red/$healthy/cut?[2J?short.png cannot be used" evaluate whole $'odd\e[31m\nred'
mkdir $'odd\e[31m\nred/odd\e[31m\nclass'
refuses 1 "odd?[31m?red has a folder odd?[31m?class, which is none of the 10 known classes" evaluate whole $'odd\e[31m\nred'
refuses 1 "odd?[31m?red/odd?[31m?class holds no pictures" train $'odd\e[31m\nred' "${train[@]}" run
answers 0 train leaves --batch 8 --epochs 1 --out $'out\e[31m\nred'
grep -qF "report: out?[31m?red/report.html" said || fail "it does not print the name of the report"

# --- the folder of --out
echo precious > file
for out in file file/below; do
  refuses 1 "cannot make the folder \"$out\" of --out" train leaves "${train[@]}" "$out"
done
[[ $(cat file) == precious ]] || fail "a file that was given as --out is lost"

answers 0 train leaves "${train[@]}" run --stop-after 4    # one epoch and a batch
find run -type f ! -name .lock -exec sha256sum {} + > kept
# keeps: the training in run is as it was.
keeps() { sha256sum --quiet -c kept > lost 2>&1 || fail "it changes $(head -n 1 lost)"; }

# refuses_run WORDS ARGUMENT...: a training in run is refused, and run is as it was.
refuses_run() {
  refuses 1 "$@"
  keeps
}
for other in "--seed 2" "--lr 0.01" "--recipe keras" "--size 128" "--validation 0.5"; do
  refuses_run "run holds a training begun with other settings (--size 64 --batch 8 --seed 1 --recipe lamina --validation 0.1, version" train leaves --batch 8 --epochs 3 --out run $other
done
like more && cp "leaves/$healthy/leaf 0.png" more/$healthy/one_more.png
like fewer && rm "fewer/$healthy/leaf 0.png"
refuses_run "run holds a training begun with other settings" train leaves --epochs 3 --out run    # --batch 32
grep -qE "\(--size 64 .*, version $("$tomato" --version | cut -d' ' -f2), JPEGs by (libjpeg-turbo|stb_image)\) than these" complained || fail "the settings of a run do not hold the version"
! grep -q -- '--lr' complained || fail "it speaks of a rate that nobody gave"
for pictures in more fewer; do
  refuses_run "run holds a training with these settings on other data (20 training and 10 validation pictures" train $pictures "${train[@]}" run
done
answers 0 train leaves --batch 8 --epochs 1 --lr 0.01 --seed 18446744073709551615 --out rates
grep -qF -- '--seed 18446744073709551615' rates/metrics.json || fail "the largest seed is not taken"
refuses 1 "rates holds a training begun with other settings" train leaves --batch 8 --epochs 1 --lr 0.0100000001 --seed 18446744073709551615 --out rates


# --- a rate that is far too large: what was saved before stays good
refuses 1 "is no longer a number, in epoch" train leaves --batch 8 --epochs 9 --lr 1000 --out wild
grep -qF "begin again with a lower learning rate" complained || fail "it does not say what to do about the rate"
! grep -qE '[0-9]{12}' said || fail "it prints losses of many digits"
if [[ -e wild/best.safetensors ]]; then
  answers 0 evaluate wild leaves
  grep -qE '<strong>Stopped</strong>, [0-9]+ of 9 epochs: the .* is no longer a number' wild/report.html || fail "the report does not say that the loss is no number"
fi

"$tomato" train leaves --batch 8 --epochs 1000000 --out busy > busy_said 2>&1 &
busy=$!
until [[ -s busy/.lock ]]; do sleep 0.01; done
refuses 1 "busy is in use by another run (pid $busy)" train leaves "${train[@]}" busy
kill "$busy"
wait "$busy" || [[ $? == 143 ]] || fail "SIGTERM ends a training with another code"

# --- checkpoints. damage FILE AT: another byte there; negative counts from the end.
damage() {
  local at=$2 size byte
  size=$(stat -c %s "$1")
  if [[ $at -lt 0 ]]; then
    at=$((size + at))
  fi
  byte=$(od -An -tu1 -j "$at" -N 1 "$1")
  printf "$(printf '\\%03o' $(((byte + 1) % 256)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
for at in 0 5 8 40 700 3000 4000000 -1; do
  cp run/best.safetensors damaged.safetensors
  damage damaged.safetensors "$at"
  refuses 1 "damaged.safetensors is damaged" predict damaged.safetensors "leaves/$healthy"
  refuses 1 "damaged.safetensors is damaged" evaluate damaged.safetensors leaves
  cp run/last.safetensors untouched
  damage run/last.safetensors "$at"
  cp run/last.safetensors damaged.safetensors
  refuses 1 "run/last.safetensors is damaged" train leaves "${train[@]}" run
  same damaged.safetensors run/last.safetensors
  cp untouched run/last.safetensors
done
for bytes in 0 7 100 1000000; do
  head -c "$bytes" untouched > run/last.safetensors
  refuses 1 "run/last.safetensors is damaged" train leaves "${train[@]}" run
  refuses 1 "run/last.safetensors is damaged" predict run/last.safetensors "leaves/$healthy"
done
cp run/best.safetensors run/last.safetensors
refuses 1 "it is no checkpoint that a training can go on from" train leaves "${train[@]}" run
cp untouched run/last.safetensors
cp run/history.csv history
echo "2,nonsense" >> run/history.csv
refuses 1 "run/history.csv, line 3" train leaves "${train[@]}" run
cp history run/history.csv
keeps


# --- a run without its last checkpoint, and somebody's own files
cp -r whole headless && rm headless/last.safetensors
refuses 1 "headless holds last.safetensors.previous, best.safetensors, history.csv and no last.safetensors" train leaves "${train[@]}" headless
grep -q "give last.safetensors.previous that name" complained || fail "it does not say how to go on"
same whole/best.safetensors headless/best.safetensors
same whole/history.csv headless/history.csv
mv headless/last.safetensors.previous headless/last.safetensors
answers 0 train leaves "${train[@]}" headless
same_run whole headless
for name in best.safetensors history.csv report.html metrics.json; do
  mkdir own && cp file own/$name
  refuses 1 "own holds $name and no last.safetensors" train leaves "${train[@]}" own
  same file own/$name
  [[ $(ls own) == "$name" ]] || fail "a training beside somebody's own $name is begun"
  rm -r own
done

refuses 1 "nowhere" predict nowhere "leaves/$healthy"
mkdir void
refuses 1 "void holds no best.safetensors" predict void "leaves/$healthy"
mkdir last && cp whole/last.safetensors last
for command in predict evaluate; do
  refuses 1 "last holds no best.safetensors: give last/last.safetensors" $command last leaves
done
printf '\x24\0\0\0\0\0\0\0{"__metadata__":{"input":"65x65x3"}}' > size.safetensors
refuses 1 "size.safetensors takes pictures of 65 pixels, and the networks of tomato train take 64, 128 or 256" predict size.safetensors "leaves/$healthy"
mkfifo pipe
for special in pipe /dev/zero; do
  refuses 1 "$special: it is a pipe, a device or a socket" predict "$special" "leaves/$healthy"
  refuses 1 "$special is not a regular file" predict run "$special"
done
mv run/last.safetensors untouched
mkfifo run/last.safetensors
refuses 1 "run/last.safetensors: it is a pipe, a device or a socket" train leaves "${train[@]}" run
mv untouched run/last.safetensors
refuses 1 "leaf 0.png is damaged or no safetensors file" predict "leaves/$healthy/leaf 0.png" "leaves/$healthy"

# --- predict and evaluate on what is wrong
refuses 1 "there is no picture and no folder nowhere" predict run nowhere
refuses 1 "the folder void holds no pictures" predict run void
lines=5 refuses 1 "bad/$healthy/short.jpg" predict run bad/$healthy
[[ $(wc -l < complained) == 5 && $(wc -l < said) == 3 ]] || fail "predict does not answer the three good pictures among five bad ones"
refuses 1 "text.jpg" predict run bad/$healthy/text.jpg
[[ ! -s said ]] || fail "predict answers a text"
refuses 1 "nine has no folder for the class $healthy" evaluate run nine
like eleven && cp -r leaves/$healthy eleven/Tomato___ripe
refuses 1 "eleven has a folder Tomato___ripe, which is none of the 10 known classes" evaluate run eleven
lines=5 refuses 1 "bad/$healthy/" evaluate run bad
mkdir both && like both/train && like both/val
refuses 1 "both holds train/ and val/, and one folder of class folders can be evaluated: give both/val" evaluate run both

answers 0 train leaves "${train[@]}" run
same_run whole run
