#!/usr/bin/env bash
# Profile and comparisons on a CUDA device: every strategy on SST-2, RTE and SQuAD, a roberta-base-sized model with random
# weights, bf16; then the training loop beside a bare one and with compiled layers, a step as a CUDA graph, predictions
# beside transformers' pipeline, updates of several families, and peak memory on long documents. With flash-attn installed,
# `unpadded` uses its kernel, with dropout too. Needs the device, torch for it, a mirror folder, and the tokenizers of
# roberta-base and bert-base-uncased (folders).
#
#   benchmarks/gpu.sh MIRROR TOKENIZER OUT BERT_TOKENIZER
#
# OUT gets profiles, comparisons and results.md, to be kept as benchmarks/results/prediction_<device>_<date>.md.
set -euo pipefail
cd "$(dirname "$0")/.."
mirror=$(realpath "$1") tokenizer=$(realpath "$2") out=$3 bert=$(realpath "$4")
mkdir -p "$out"
export HF_HUB_OFFLINE=1
python -c "import torch; assert torch.cuda.is_available(), 'no CUDA device'; print(torch.cuda.get_device_name(0))"
for package in pyarrow filelock typer rich tomli_w; do
    python -c "import $package" || python -m pip install "${package/_/-}"
done
python -m pytest -q tests/train/test_sequence_models.py tests/train/test_writer_rows.py tests/train/test_variable_length.py || echo "equality checks failed" | tee "$out/failed.txt"
python -m benchmarks.bench_prediction --mirror "$mirror" --tokenizer "$tokenizer" --tasks sst2,rte,squad \
    --steps 30 --precision bf16 --out "$out" | tee "$out/results.md"
python -m benchmarks.bench_train_loop --model "$out/roberta-random" --mirror "$mirror" --data "$out/data" --compile \
    | tee "$out/train_loop.md"
python -m benchmarks.bench_graphs --model "$out/roberta-random" --mirror "$mirror" --data "$out/data" | tee "$out/graphs.md"
python -m benchmarks.bench_predict "$out/roberta-random" "$mirror/glue/sst2/validation.parquet" \
    "$mirror/glue/sst2/train.parquet" --precision bf16 | tee "$out/predict.md"
python -m benchmarks.bench_families --tokenizer "$bert" --mirror "$mirror" --precision bf16 --updates 30 | tee "$out/families.md"
python -m benchmarks.bench_memory | tee "$out/memory.json"
