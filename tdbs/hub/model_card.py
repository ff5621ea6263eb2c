"""The card of a trained model: scores as a model-index, data, how it was trained, energy if measured."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from tdbs.data.hub_repos import hub_name, public_name
from tdbs.data.tasks import HubTask
from tdbs.hub.card_text import TDBS_LINK, card, facts, fenced
from tdbs.hub.task_names import category, known_task
from tdbs.shown import shown
from tdbs.train.planning.model_choice import TINY
from tdbs.train.run_folder import Run

_LIBRARIES = {"embedding": "sentence-transformers", "ranking": "sentence-transformers"}
_NOUNS = {"embedding": "text embeddings", "ranking": "ranking texts"}  # of other kinds their name
_STRATEGY = ("name", "batches", "drop", "drop_rate", "execution", "base_batch_size", "scaling_factor", "micro_batches")
_PART = ("lora", "freeze_layers")


def model_card(run: Run, result: Mapping[str, Any], repo: str, license_id: str | None) -> str:
    """Return the README.md of a finished run's model in a repository of the hub."""
    config, name = run.config, repo.partition("/")[2]
    kind, source = config["task"]["kind"], config["dataset"].get("source")
    known = None if source is None else known_task(source, kind)
    base = None if config["model"] == TINY else config["model"]
    tag = category(kind, known)
    scores = {metric: value for metric, value in result["metrics"].items() if value is not None}
    adapters = "lora" in config.get("part", {})
    data = ModelCardData(
        license=license_id,
        library_name="peft" if adapters else _LIBRARIES.get(kind, "transformers"),
        pipeline_tag=tag,
        base_model=None if base is None else hub_name(base),
        datasets=None if known is None else [known.hub_id],
        metrics=list(scores) or None,
        tags=["tdbs"],
        model_name=name if scores else None,
        eval_results=_results(scores, shown(source or "unknown"), kind, tag, known) if scores else None,
        **_emissions(result.get("energy")),
    )
    training = fenced(facts(_training(config, result)))
    energy = result.get("energy")
    return card(
        data,
        name,
        f"A model for {_NOUNS.get(kind, kind.replace('_', ' '))}, fine-tuned with {TDBS_LINK}.",
        fenced(facts(_summary(config, base, scores))),
        "Scores are those of the validation split, without dropped words.",
        "## Training",
        training,
        *(() if energy is None else ("## Energy", fenced(facts(_energy(energy))), _ENERGY_NOTE)),
        "## How to use it",
        fenced(_snippet(repo, kind, tag, adapters=adapters), "python"),
    )


_ENERGY_NOTE = "codecarbon measured or estimated the power of the whole machine, with all other programs on it."


def _results(
    scores: Mapping[str, float], source: str, kind: str, tag: str | None, known: HubTask | None
) -> list[EvalResult]:
    return [
        EvalResult(
            task_type=tag or "text2text-generation",
            task_name=kind.replace("_", " "),
            dataset_type=source if known is None else known.hub_id,
            dataset_name=source,
            dataset_config=None if known is None else known.configuration,
            dataset_split="validation" if known is None else known.task.scored_split,
            metric_type=metric,
            metric_value=value,
        )
        for metric, value in scores.items()
    ]


def _summary(config: Mapping[str, Any], base: str | None, scores: Mapping[str, float]) -> dict[str, object]:
    classes = config["task"]["classes"]
    return {
        "base model": "random weights" if base is None else public_name(base),
        "data": config["dataset"].get("source"),
        "classes": ", ".join(classes) if classes else None,
        "dataset key": config["dataset"].get("key"),
        **{metric: f"{value:.4f}" for metric, value in scores.items()},
    }


def _training(config: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, object]:
    """Return how the model was trained; names are chosen one by one, since a run's settings also name local places."""
    strategy = {name: config["strategy"].get(name) for name in _STRATEGY}
    if strategy["drop"] not in ("rate", "any"):
        del strategy["drop_rate"]  # the default of a part that is not used
    part = {name: config.get("part", {}).get(name) for name in _PART}
    execution = {name: config["execution"].get(name) for name in ("device", "precision", "attention")}
    return {
        "strategy": strategy.pop("name"),
        **strategy,
        **part,
        **{name: config.get(name) for name in ("seed", "epochs", "lr", "warmup", "dropout")},
        "steps": f"{result['steps']:,}",
        "tokens": f"{result['tokens']:,}",
        "padding": f"{result['padding_fraction']:.1%}",
        "seconds": f"{result['seconds']['train']:.1f}",
        **execution,
        **{name: config.get("versions", {}).get(name) for name in ("torch", "transformers")},
    }


def _energy(energy: Mapping[str, Any]) -> dict[str, object]:
    return {
        "kWh": f"{energy['kwh']:.6g}",
        "kg CO2e": f"{energy['co2e_kg']:.6g}",
        "electricity of": energy["country"],
        "power": energy["power"],
    }


def _emissions(energy: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the emissions as the hub has them: in grams."""
    if energy is None:
        return {}
    found = {
        "emissions": 1000 * energy["co2e_kg"],
        "source": "codecarbon",
        "training_type": "fine-tuning",
        "geographical_location": energy["country"],
    }
    return {"co2_eq_emissions": found}


def _snippet(repo: str, kind: str, tag: str | None, *, adapters: bool) -> str:
    if tag is None or adapters:
        return f"""from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("{repo}")  # pass the class of the task; adapters need peft and their base model
tokenizer = AutoTokenizer.from_pretrained("{repo}")"""
    if kind == "embedding":
        return f"""from sentence_transformers import SentenceTransformer

embeddings = SentenceTransformer("{repo}").encode(["a text", "another"])"""
    if kind == "ranking":
        return f"""from sentence_transformers import CrossEncoder

scores = CrossEncoder("{repo}").predict([("a query", "a text"), ("a query", "another")])"""
    return f"""from transformers import pipeline

predict = pipeline("{tag}", model="{repo}")"""
