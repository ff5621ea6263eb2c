#!/bin/sh
# Every stage of tdbs on a part of the built-in sample, with the `tdbs` that is named: `make lower-bounds` calls it with
# the lowest versions of all dependencies.
set -eu
tdbs=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
"$tdbs" prepare --out data/all --json > prepared.json
"$tdbs" verify data/all
"$tdbs" plan data/all --strategy reach --epochs 1 --out plan.parquet
"$tdbs" estimate-speedup data/all --epochs 1
"$tdbs" train data/all --model tiny --epochs 1 --out run
"$tdbs" train data/all --model tiny --epochs 1 --strategy length_grouped --precision fp32 --out other
"$tdbs" evaluate run
printf 'text\na fine film\nnot a good one\n' > texts.csv
"$tdbs" predict run texts.csv --out predicted.parquet
"$tdbs" predict run/model texts.csv --strategy random
"$tdbs" report run
"$tdbs" env
echo "every stage ran"
