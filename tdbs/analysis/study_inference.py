"""Models at inference, trained with TokenDrop and without: Fig. 4, Table 3 and the resilience test of section 3.1.

Each claim of the paper is said to hold or not, with the numbers: means over tasks, deviations over seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tdbs.analysis.condition import Asked, Condition
from tdbs.analysis.conditions import check_conditions, choose_batches, choose_conditions
from tdbs.analysis.environment import device_name
from tdbs.analysis.paper import TABLE3, PaperStudy, Study
from tdbs.analysis.study import StudyResult, StudyTerms, told_dropouts, told_terms
from tdbs.analysis.study_batches import batches_study
from tdbs.analysis.study_rates import RATES, rates_study
from tdbs.analysis.study_resilience import REMOVALS, resilience_study
from tdbs.analysis.study_trained import Training, shared_terms, trainings
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.defaults import shown_model

Datasets = Mapping[str, PreparedDataset]
Progress = Callable[[str], None]


def inference_study(
    study: Study,
    of_paper: PaperStudy,
    datasets: Datasets,
    terms: StudyTerms,
    *,
    runs: Path,
    progress: Progress,
) -> StudyResult:
    """Train what is missing in `runs`, ask every run, and return the study's tables and what holds of its claims.

    Raises ConfigError before the first run where a task judges grammar.
    """
    conditions: list[Condition] = {
        "table3": lambda: choose_batches([row.batches for row in TABLE3]),
        "fig4": lambda: choose_conditions(RATES),
        "resilience": lambda: choose_conditions(removals=REMOVALS),
    }[study]()
    for dataset in datasets.values():
        check_conditions(conditions, dataset.manifest.task, next_step="Leave the task out of --tasks.")
    asked = Asked(conditions=conditions, timed=study != "resilience")
    found = trainings(datasets, terms, asked, runs=runs, progress=progress)
    make = {"table3": batches_study, "fig4": rates_study, "resilience": resilience_study}[study]
    return make(of_paper, found, _caption(of_paper, datasets, terms, found))


def _caption(of_paper: PaperStudy, datasets: Datasets, terms: StudyTerms, found: Sequence[Training]) -> str:
    shared = shared_terms(next(iter(datasets.values())).manifest, terms)
    of_terms = {**asdict(shared), "model": shown_model(shared.model), "device": device_name()}
    dropouts = {task: [training.dropouts[task] for training in found] for task in datasets}
    return (
        f"{told_terms(of_terms, terms.seeds, list(datasets))} "
        f"{told_dropouts([training.title for training in found], dropouts)} "
        "The paper: roberta-base, means over GLUE and SQuAD. " + of_paper.note
    )
