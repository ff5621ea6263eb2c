"""Words that a model does without, beside the paper's list: flips and accuracy on three tasks.

    python -m benchmarks.learned_words --model MODEL --mirror MIRROR --work FOLDER

For each task and seed a run without TokenDrop teaches a list, from its train samples alone. Flips are the predictions
on validation rows that change when words of a list are dropped from them; the accuracy of the same model is beside.
With --trained, models are also trained with TokenDrop at 0.3, with either list, and scored on whole texts. The learning
rate is 1e-4.

Runs and datasets are kept in the work folder: called again, the study continues.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tdbs
from benchmarks.accuracy_runs import first_rows
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.conditions.asked import Condition, Question
from tdbs.analysis.conditions.evaluate import evaluate_runs
from tdbs.analysis.conditions.flips import count_flips
from tdbs.analysis.learned_words import LearnedWords
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.run_folder import MODEL_FOLDER

TASKS = ("sst2", "mrpc", "rte")
RATES = (0.3, 1.0)
LR, EPOCHS = 1e-4, 3
LISTS = ("paper", "learned")


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """A task and a seed: both lists, in the order of LISTS."""

    task: str
    learned: LearnedWords
    shares: tuple[float, ...]  # of the train tokens that may be dropped
    flips: dict[float, tuple[float, ...]]  # by rate: share of predictions that change
    scores: dict[float, tuple[float, ...]]  # by rate: the same model on shorter texts
    whole: float  # its score on whole texts
    trained: tuple[float, ...]  # scores of models trained with TokenDrop; empty: not asked for


def beside(task: str, *, seed: int, model: str, mirror: Path, work: Path, is_trained: bool) -> Beside:
    """Return what the two lists do on a task."""
    if task == "sst2":
        mirror = first_rows(mirror / "glue" / task, work / "mirror")
    options = {"mirror": mirror, "tokenizer": model}
    paper = tdbs.prepare(f"glue/{task}", **options, out=work / f"{task}-paper").dataset
    run = _trained(paper, work / f"{task}-seed{seed}-whole", model=model, seed=seed)
    learned = tdbs.learn_words(run)
    place = work / f"{task}-seed{seed}-learned"
    own = tdbs.prepare(f"glue/{task}", **options, stopwords=str(learned.path), out=place).dataset
    datasets = (paper, own)
    conditions = tuple(Condition(name=f"{rate}", drop_rate=rate) for rate in (0.0, *RATES))
    found = [evaluate_runs([run], Question(conditions=conditions, draws=3), dataset=each).rows for each in datasets]
    return Beside(
        task=task,
        learned=learned,
        shares=tuple(_droppable(each) for each in datasets),
        flips={
            rate: tuple(count_flips(run, dataset=each, drop_rate=rate).share for each in datasets) for rate in RATES
        },
        scores={rate: tuple(rows[place].score or 0.0 for rows in found) for place, rate in enumerate(RATES, 1)},
        whole=found[0][0].score or 0.0,
        trained=tuple(
            _score(_trained(each, work / f"{task}-seed{seed}-with-{name}", model=model, seed=seed, drops=True), paper)
            for name, each in zip(LISTS, datasets, strict=True)
            if is_trained
        ),
    )


def _trained(dataset: PreparedDataset, out: Path, *, model: str, seed: int, drops: bool = False) -> Path:
    """Return a finished run; one that is there is not trained again."""
    if not (out / MODEL_FOLDER).exists():
        parts = {"drop": "rate", "drop_rate": 0.3} if drops else {}
        strategy = resolve_strategy("unpadded", dataset.manifest.task, parts)
        tdbs.train(
            dataset, model=model, strategy=strategy, lr=LR, epochs=EPOCHS, seed=seed, out=out, resume=out.exists()
        )
    return out


def _score(run: Path, dataset: PreparedDataset) -> float:
    return tdbs.evaluate(run, dataset=dataset).score or 0.0


def _droppable(dataset: PreparedDataset) -> float:
    info = dataset.manifest.splits["train"]
    return info.droppable_tokens / info.tokens


def report(found: Sequence[Beside]) -> str:
    """Return the page's tables."""
    rows = []
    for task in dict.fromkeys(each.task for each in found):
        seeds = [each for each in found if each.task == task]
        for place, name in enumerate(LISTS):
            row = {"task": task, "list": name}
            row["words"] = _words(seeds, name)
            row["droppable"] = _mean([each.shares[place] for each in seeds])
            for rate in RATES:
                row[f"flips at {rate:g}"] = _mean([each.flips[rate][place] for each in seeds])
            row["whole texts"] = _mean([each.whole for each in seeds])
            for rate in RATES:
                row[f"score at {rate:g}"] = _mean([each.scores[rate][place] for each in seeds])
            if all(each.trained for each in seeds):
                row["trained at 0.3"] = _mean([each.trained[place] for each in seeds])
            rows.append(row)
    words = [
        {
            "task": each.task,
            "least effect": " ".join(f"`{effect.word}`" for effect in each.learned.words[:25]),
            "of the list in the paper's": f"{sum(effect.in_paper for effect in each.learned.words):,}",
            "of words ranked": f"{each.learned.ranked:,}",
            "predictions": f"{each.learned.predictions:,}",
        }
        for each in found
    ]
    return f"{markdown_table(rows)}\n\n{markdown_table(words)}"


def _words(seeds: Sequence[Beside], name: str) -> str:
    if name == "paper":
        return "134"
    return ", ".join(str(len(each.learned.words)) for each in seeds)


def _mean(values: Sequence[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--trained", action="store_true")
    arguments = parser.parse_args()
    named = {"model": arguments.model, "mirror": arguments.mirror, "work": arguments.work}
    found = [
        beside(task, seed=int(seed), **named, is_trained=arguments.trained)
        for task in arguments.tasks.split(",")
        for seed in arguments.seeds.split(",")
    ]
    facts = "\n".join(f"{name}: {value}" for name, value in provenance().items())
    print(f"{facts}\nseeds: {arguments.seeds}\n\n{report(found)}")


if __name__ == "__main__":
    main()
