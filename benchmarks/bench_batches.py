"""The batches of an epoch, tensors ready, against a DataLoader with transformers' padding collator, same process.

    python -m benchmarks.bench_batches DATASET       (SST-2)

Ours: what TokenDrop takes out, the batches of `reach` with caps 64, ids, mask and labels as tensors; the plan is made
before. Theirs: random batches of 64 of the same samples, `DataCollatorWithPadding`, in the process itself (`--workers`
takes other processes). Median of the repeats.
"""

import argparse
import statistics
from dataclasses import replace

import torch
from torch.utils.data import DataLoader
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

from benchmarks.common import print_rows, timed
from tdbs.pipeline.dataset import load, read_tokenizer
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.models.inputs import InputRules, model_inputs
from tdbs.train.planning.strategies import STRATEGIES

BATCH_SIZE = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    dataset = load(arguments.dataset)
    info = dataset.manifest.tokenizer
    strategy = replace(STRATEGIES["reach"], caps=str(BATCH_SIZE))
    data = open_training_data(dataset)
    feed = make_feed(data, strategy, seed=0, epochs=1)
    split = data.split
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=read_tokenizer(dataset))
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(info.pad_id)
    bounds = split.token_offsets_N1.tolist()
    samples = [
        {"input_ids": split.input_ids_T[first:last].tolist(), "attention_mask": [1] * (last - first), "labels": label}
        for first, last, label in zip(bounds, bounds[1:], split.targets.values.tolist(), strict=False)
    ]

    def ours() -> None:
        for batch in feed.batches(feed.plans[0]):
            model_inputs(batch, InputRules(pad_id=0), device=torch.device("cpu"))
            torch.from_numpy(batch.labels)

    def theirs() -> None:
        collator = DataCollatorWithPadding(tokenizer)
        for _ in DataLoader(samples, BATCH_SIZE, shuffle=True, collate_fn=collator, num_workers=arguments.workers):
            pass

    seconds = {"ours": [], "theirs": []}
    for _ in range(arguments.repeats):
        seconds["ours"].append(timed(ours))
        seconds["theirs"].append(timed(theirs))
    median = {key: statistics.median(values) for key, values in seconds.items()}
    row = {
        "samples": len(samples),
        "workers": arguments.workers,
        "tdbs (samples/s)": len(samples) / median["ours"],
        "DataLoader (samples/s)": len(samples) / median["theirs"],
        "ratio": median["theirs"] / median["ours"],
    }
    print_rows([row], as_json=arguments.json, strategy=strategy.name)


if __name__ == "__main__":
    main()
