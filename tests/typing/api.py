"""Calls of every public function as a user's type checker sees them: right ones, and wrong ones that it must refuse.

Checked by `make types` on the source and by `make wheel` on the installed package; never run. An `ignore` that is no
longer needed fails the check, so a wrong call that becomes possible is noticed.
"""

from pathlib import Path

import polars

import tdbs
from tdbs.arrays import IntArray
from tdbs.inference.predict import PredictResult
from tdbs.inference.predictor import Prediction
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.planning.droppable_words import DroppableWords
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import Strategy


def preparing() -> PreparedDataset:
    """A source becomes a dataset, which is opened and checked."""
    result = tdbs.prepare("reviews.csv", text="review", label="stars", keep=["not"], memory="2GiB")
    tdbs.prepare(Path("reviews.csv"), keep="not")
    tdbs.prepare("pairs.csv", columns=["query", "positive"], label=["score"], keep_out=("validation", "test"))
    tdbs.prepare("pairs.csv", columns=[0, 1])  # type: ignore[list-item]
    tdbs.prepare("reviews.csv", lable="stars")  # type: ignore[call-arg]
    tdbs.prepare("reviews.csv", None)  # type: ignore[call-arg]
    warnings: tuple[str, ...] = result.warnings
    dataset: PreparedDataset = tdbs.load(Path("data") / warnings[0])
    tdbs.load(result)
    tdbs.load(3)  # type: ignore[arg-type]
    problems: list[str] = [problem.file for problem in tdbs.verify(dataset, progress=lambda done, total: None).problems]
    tdbs.verify(len(problems))  # type: ignore[arg-type]
    return result.dataset


def preparing_tables(frame: polars.DataFrame, lazy: polars.LazyFrame) -> PreparedDataset:
    """Tables of a program are prepared, one alone or one for each split; validation may be one, or a number."""
    rows = [{"text": "a fine film", "label": 1}, {"text": "a poor film", "label": 0}]
    tdbs.prepare(frame, validation=0.1)
    tdbs.prepare({"train": lazy, "validation": frame})
    tdbs.prepare({"train": rows, "test": rows})
    tdbs.prepare("reviews.csv", validation=rows)
    tdbs.prepare(frame, validation=frame)
    tdbs.prepare(7)  # type: ignore[arg-type]
    tdbs.prepare(["a fine film"])  # type: ignore[list-item]
    tdbs.prepare({"train": "reviews.csv"})  # type: ignore[dict-item]
    return tdbs.prepare(rows, text="text", label="label").dataset


def samples(dataset: PreparedDataset) -> tuple[str, ...]:
    """Samples leave for other libraries."""
    dataset.to_polars("train")
    dataset.to_pandas(split="train")
    dataset.to_datasets()
    dataset.to_polars(3)  # type: ignore[arg-type]
    dataset.to_pandas(splits="train")  # type: ignore[call-arg]
    rows: int = len(dataset)
    return dataset.classes * rows


def planning(lengths_N: IntArray, words: DroppableWords, strategy: Strategy) -> EpochPlan:
    """An epoch is planned from arrays."""
    tdbs.plan_epoch(lengths_N, words, "reach", max_length=128, seed=0, epoch=0)  # type: ignore[arg-type]
    tdbs.plan_epoch(lengths_N, words, strategy, max_length=128, seed=0)  # type: ignore[call-arg]
    return tdbs.plan_epoch(lengths_N, words, strategy, max_length=128, seed=0, epoch=0)


def estimating(dataset: PreparedDataset, strategy: Strategy) -> float:
    """A device is measured, and runs are estimated."""
    measured: dict[str, object] = tdbs.measure_profile(dataset, model="roberta-base", precision="bf16")
    tdbs.measure_profile(dataset, "roberta-base")  # type: ignore[call-arg]
    profile: Profile = tdbs.read_profile("profile.json")
    tdbs.read_profile(measured)  # type: ignore[arg-type]
    estimates = tdbs.estimate_speedup(dataset, ["reach", strategy], epochs=2, profile=profile)
    tdbs.estimate_speedup("data/sample", "reach", batch_size=32, profile="profile.json")
    tdbs.estimate_speedup(Path("data/sample"), strategy)
    tdbs.estimate_speedup(7)  # type: ignore[arg-type]
    tdbs.estimate_speedup(dataset, 7)  # type: ignore[arg-type]
    tdbs.estimate_speedup(dataset, epochs="2")  # type: ignore[arg-type]
    return estimates[0].speedup


def training(dataset: PreparedDataset) -> float | None:
    """A run is trained and scored; strategies are compared."""
    run = tdbs.train(dataset, seed=1)
    tdbs.train()  # type: ignore[call-arg]
    tdbs.train(3)  # type: ignore[arg-type]
    tdbs.train("data/sample", base_batch_size=32)
    tdbs.compare(dataset, ["random", "reach"], out="runs/compared")
    tdbs.compare(dataset, ["random", "reach"], progress=False, profile=Path("profile.json"))
    tdbs.compare(dataset, progress="bar")  # type: ignore[arg-type]
    tdbs.compare("data/sample", "reach", seeds=1, out="runs/compared")
    evaluated = tdbs.evaluate(run.run, dataset=dataset)
    tdbs.evaluate(run, dataset="data/sample")
    tdbs.evaluate(7)  # type: ignore[arg-type]
    return evaluated.score


def predicting() -> list[Prediction]:
    """Files and texts are predicted."""
    result: PredictResult = tdbs.predict("runs/first", "reviews.csv", out=Path("stars.jsonl"), drop_rate=1)
    tdbs.predict("runs/first", tdbs.load("data/sample"))
    tdbs.predict("runs/first")  # type: ignore[call-arg]
    tdbs.predict("runs/first", "reviews.csv", batch_size=str(result.rows))  # type: ignore[arg-type]
    predictor = tdbs.Predictor("runs/first", seed=1)
    tdbs.Predictor("runs/first", 0.5)  # type: ignore[call-arg]
    one: Prediction = predictor("a fine film")
    pair: Prediction = predictor(("a question", "its context"), drop_rate=0.5)
    ranked: Prediction = predictor(("a query", ["a text", "another"]))
    predictor(7)  # type: ignore[call-overload]
    texts, pairs = ["one", "another"], [("a question", "its context")]
    predictor([*texts, *pairs])  # type: ignore[arg-type]
    found = predictor([("a query", ["a text", "another"])])
    return [one, pair, ranked, *found, *predictor(texts), *predictor(pairs)]


def failing() -> str:
    """An error has a cause and a next step."""
    try:
        preparing()
    except tdbs.TdbsError as error:
        return error.message + error.next_step
    tdbs.prepair()  # type: ignore[attr-defined]
    return tdbs.__version__
