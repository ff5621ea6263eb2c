"""Run a table or figure of the paper on some tasks, and put the results beside the paper's own numbers.

Tables of scores are comparisons, one per task (compare/compare.py), and resume if interrupted. Studies of times alone
(Fig. 7, Fig. 8, App. E.1) are computed from plans and a device profile. Studies of inference
(Fig. 4, Table 3, section 3.1) evaluate trained models.
"""

from pathlib import Path

from tdbs.analysis.studies.compared import compared_study
from tdbs.analysis.studies.inference import inference_study
from tdbs.analysis.studies.paper import STUDIES, Study
from tdbs.analysis.studies.predicted import overheads, spread_and_speedup, ten_runs
from tdbs.analysis.studies.study import DEFAULT_DROPPING, Datasets, Progress, StudyResult, StudyTerms
from tdbs.analysis.studies.trained import check_dropping
from tdbs.errors import ConfigError
from tdbs.train.planning.profile_file import Profile

_IN_SECONDS = ("fig7", "e1")
_AT_INFERENCE = ("table3", "fig4", "resilience")


def check_study(study: Study, profile: Profile | None, terms: StudyTerms) -> None:
    """Raise ConfigError if a study of seconds is asked for without a profile, or one of inference for some steps."""
    if study in _IN_SECONDS and profile is None:
        raise ConfigError(f"{study} is computed in seconds.", next_step="Pass --profile FILE; tdbs profile writes one.")
    if study in _AT_INFERENCE and terms.part_steps is not None:
        raise ConfigError(f"{study} needs trained models.", next_step="Leave --steps out.")
    if study in _AT_INFERENCE:
        check_dropping(terms.dropping)
    if study not in _AT_INFERENCE and terms.dropping != DEFAULT_DROPPING:
        raise ConfigError(
            f"--strategy only applies to {', '.join(_AT_INFERENCE)}; {study} has its own.",
            next_step="Leave --strategy out.",
        )


def run_study(
    study: Study,
    datasets: Datasets,
    terms: StudyTerms,
    *,
    runs: Path,
    profile: Profile | None = None,
    progress: Progress = lambda _message: None,
) -> StudyResult:
    """Run a study on prepared datasets, by task; comparisons go to folders in `runs`.

    Raises ConfigError if the study does not take the terms, or needs a profile.
    """
    check_study(study, profile, terms)
    of_paper = STUDIES[study]
    if study in _AT_INFERENCE:
        return inference_study(study, of_paper, datasets, terms, runs=runs.parent, progress=progress)
    if of_paper.rows:
        return compared_study(study, of_paper, datasets, terms, runs=runs, profile=profile, progress=progress)
    if study in _IN_SECONDS and profile is not None:
        return (overheads if study == "fig7" else ten_runs)(of_paper, datasets, terms, profile)
    return spread_and_speedup(of_paper, datasets, terms, profile=profile)
