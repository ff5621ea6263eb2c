"""What a strategy costs in accuracy: strategies x seeds x tasks.

python -m benchmarks.accuracy rates --model MODEL --mirror DIR
"""

import argparse
from pathlib import Path

from benchmarks.accuracy_runs import Variant, prepared_task, train_missing
from tdbs.cli.common import quiet_libraries

EPOCHS = 3
TASKS = ("stsb", "mrpc", "cola", "sst2-8000")
RATES = {"stsb": 2e-4, "mrpc": 1e-4, "cola": 5e-5, "sst2-8000": 1e-4}
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(name="random, dropout 0.1", strategy="unpadded", dropout=0.1, parts={}),
        Variant(name="random", strategy="unpadded", dropout=0.0, parts={}),
        Variant(name="reach", strategy="reach", dropout=0.0, parts={}),
        Variant(name="reach, 4 micro-batches", strategy="reach", dropout=0.0, parts={"micro_batches": 4}),
        Variant(name="random, drop 0.3", strategy="unpadded", dropout=0.0, parts={"drop": "rate", "drop_rate": 0.3}),
    )
}


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--variants", default=";".join(VARIANTS))
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--rates")
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    quiet_libraries()
    datasets = {
        task: prepared_task(task, model=arguments.model, mirror=arguments.mirror, out=arguments.out)
        for task in arguments.tasks.split(",")
    }
    for seed in arguments.seeds.split(","):
        for task, dataset in datasets.items():
            for rate in arguments.rates.split(",") if arguments.rates else [RATES[task]]:
                train_missing(
                    dataset,
                    task,
                    [VARIANTS[name] for name in arguments.variants.split(";")],
                    [int(seed)],
                    model=arguments.model,
                    rate=float(rate),
                    epochs=EPOCHS,
                    records=arguments.records,
                    progress=lambda line: print(line, flush=True),
                )


if __name__ == "__main__":
    main()
