"""What the hub calls a kind of task, and the task of tdbs's table that a source is."""

from tdbs.data.tasks import HUB_TASKS, HubTask, TaskKind

_CATEGORIES: dict[TaskKind, str] = {
    "classification": "text-classification",
    "regression": "text-classification",
    "multi_label": "text-classification",
    "token_classification": "token-classification",
    "question_answering": "question-answering",
    "embedding": "sentence-similarity",
    "ranking": "text-ranking",
}


def known_task(source: str, kind: TaskKind) -> HubTask | None:
    """Return the task with a short name that a source is; None for the user's own, also under such a name."""
    found = HUB_TASKS.get(source)
    return found if found is not None and found.task.kind == kind else None


def category(kind: TaskKind, known: HubTask | None) -> str | None:
    """Return the hub's name for a kind of task; None for texts to write that need not be summaries."""
    return "summarization" if kind == "seq2seq" and known is not None else _CATEGORIES.get(kind)
