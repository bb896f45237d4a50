#!/usr/bin/env bash
# What the trainer writes and prints: history.csv, metrics.json, report.html, and the answers of predict, evaluate and summary in every format.
source "$(dirname "$0")/trainer.bash"
"$make_leaves" "some leaves" 3 64
classes=$(ls "some leaves")

# is_json FILE: by jq where there is one.
is_json() { ! command -v jq > /dev/null || jq -e . "$1" > /dev/null || fail "$1 is no JSON"; }
# says WORDS FILE
says() { grep -qF -- "$1" "$2" || fail "$2 does not say '$1'"; }

answers 0 train "some leaves" --batch 8 --epochs 3 --out run
[[ ! -s complained ]] || fail "a training without fault complains"
! grep -q $'\r' said || fail "it draws a progress bar where there is no terminal"
says "20 training and 10 validation pictures of 10 classes" said
for epoch in 1 2 3; do
  grep -qE "^epoch $epoch/3  loss [0-9.]+  accuracy [0-9.]+ %  val_loss [0-9.]+  val_accuracy [0-9.]+ %  lr " said || fail "no line of epoch $epoch"
done
says "report: run/report.html" said

for threads in 3 $(($(nproc) + 1)) 100; do
  answers 0 train "some leaves" --batch 8 --epochs 1 --threads "$threads" --out "threads $threads"
  [[ ! -s complained ]] || fail "a training with $threads threads complains"
done

# --- a batch takes the memory of as many pictures as there are
answers 0 train "some leaves" --size 128 --batch 65536 --epochs 1 --out whole

# --- history.csv
[[ $(head -n 1 run/history.csv) == epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,wait,forward,backward,update,validation,images_per_second ]] || fail "history.csv has other columns"
awk -F, 'NR > 1 && (NF != 13 || $1 != NR - 1 || $2 <= 0 || $3 < 0 || $3 > 1 || $5 < 0 || $5 > 1 || $6 <= 0 || $7 < $8 + $9 + $10 + $11 + $12 - 1e-9) { exit 1 } END { exit NR != 4 }' run/history.csv ||
  fail "history.csv has other rows than three epochs"

# --- metrics.json: the figures of the last epoch and the matrix of all ten validation pictures
is_json run/metrics.json
says '"epochs": 3' run/metrics.json
says "tomato train 'some leaves' --batch 8" run/metrics.json
if command -v jq > /dev/null; then
  jq -e '(.classes | length) == 10 and ([.confusion[][]] | add) == 10 and .steps == 9 and .training_pictures == 20' run/metrics.json > /dev/null || fail "metrics.json has other figures"
  awk -F, 'NR == 4 { printf "%.12g\n%.12g\n%.12g\n%.12g\n", $2, $3, $4, $5 }' run/history.csv > last_row
  jq -r '.loss, .accuracy, .val_loss, .val_accuracy' run/metrics.json | awk '{ printf "%.12g\n", $1 }' > last_metrics
  same last_row last_metrics
fi

# --- report.html needs nothing else
page=run/report.html
[[ $(head -c 15 $page) == "<!DOCTYPE html>" && $(tail -n 1 $page) == "</html>" ]] || fail "report.html is not a whole page"
! grep -qiE '(src|href|srcset|poster)="(https?:|/|\.)|@import|url\([^#]|<(script|link|iframe|object|base)' $page || fail "report.html needs something else"
! grep -qi 'http-equiv="refresh"' $page || fail "the report of a finished training still reloads itself"
says "<strong>Finished</strong>, 3 of 3 epochs" $page
says "tomato train &#39;some leaves&#39; --batch 8" $page 2> /dev/null || says "tomato train 'some leaves' --batch 8" $page
says "1,143,242" $page
for epoch in 1 2 3; do
  says "<td>$epoch</td>" <(sed -n '/Epoch by epoch/,/<\/table>/p' $page)
done
while read -r class; do
  words=${class#Tomato___}
  says "${words//_/ }" $page
done <<< "$classes"

# --- while it runs and when it is stopped the page says so
answers 0 train "some leaves" --batch 8 --epochs 3 --out stopped --stop-after 4
says "<strong>Stopped</strong>, 1 of 3 epochs: it was told to stop after 4 steps" stopped/report.html

# --- predict: a picture, and a folder
picture="some leaves/Tomato___healthy/leaf 0.png"
answers 0 predict run "$picture"
grep -qE "^$picture: Tomato___.* \([0-9.]+ %\)$" said || fail "predict prints another line"
answers 0 predict run "some leaves"
[[ $(wc -l < said) == 30 ]] || fail "predict does not answer every picture of the folder"
cut -d: -f1 said | sort -c || fail "predict does not answer in the order of the names"

answers 0 predict run --format csv "some leaves"
[[ $(head -n 1 said) == picture,class,probability && $(wc -l < said) == 31 ]] || fail "predict --format csv prints other rows"
! tail -n +2 said | grep -vqE '^"some leaves/[^"]+\.png","Tomato___[^"]+",[01]\.[0-9]{6}$' || fail "predict --format csv prints another line"
tail -n +2 said > all.csv

answers 0 predict run --format csv "$picture"
says "$(tail -n 1 said)" all.csv    # a picture alone and among others

answers 0 predict run --format json "some leaves" "$picture"
is_json said
[[ $(grep -c '"picture":' said) == 31 ]] || fail "predict --format json answers other pictures"
if command -v jq > /dev/null; then
  jq -e 'all(.[]; (.probabilities | length) == 10 and (([.probabilities[]] | add) - 1 | fabs) < 1e-6 and .probability == ([.probabilities[]] | max))' said > /dev/null || fail "probabilities are not such"
fi
answers 0 predict run/last.safetensors "$picture"

# --- names that would give a terminal orders, and folders that begin with a dot
mkdir -p odd/.hidden odd/deep
cp "$picture" odd/.hidden/unseen.png
cp "$picture" odd/deep/$'a\e[31mred\nline\x7f\xc2\x9b\xc3\xa9.png'
answers 0 predict run odd
[[ $(wc -l < said) == 1 ]] || fail "predict answers a picture of a hidden folder, or in two lines"
says $'odd/deep/a?[31mred?line??\xc3\xa9.png: Tomato___' said

# --- evaluate
answers 0 evaluate run "some leaves"
says "30 pictures: loss " said
while read -r class; do
  says "$class" said
done <<< "$classes"
answers 0 evaluate run "some leaves" --json
is_json said
says '"samples": 30' said
! command -v jq > /dev/null || jq -e '(.classes | length) == 10 and ([.confusion[][]] | add) == 30 and ([.classes[].support] | unique) == [3]' said > /dev/null || fail "evaluate --json has other figures"

# --- summary, help and what cannot be printed
answers 0 summary
says "1,143,242" said
answers 0 --help
says "Exit codes" said
if [[ -w /dev/full ]]; then
  for command in "--help" "--version" "train --help" "summary" "predict run/best.safetensors Tomato.png"; do
    cp "$picture" Tomato.png
    code=0
    "$tomato" $command > /dev/full 2> complained || code=$?
    [[ $code == 1 ]] || fail "tomato $command ends with $code though nobody gets its answer"
    says "cannot write to standard output" complained
  done
fi
