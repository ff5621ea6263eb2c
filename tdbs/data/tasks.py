"""The tasks with short names: hub id, columns, classes, metric, and what TokenDrop may do to them.

One table. The first metric of a task is its score, the one of the paper's Table 1.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tdbs.fields import Several

TaskKind = Literal[
    "classification",
    "regression",
    "multi_label",
    "token_classification",
    "question_answering",
    "seq2seq",
    "embedding",
    "ranking",
]
SAMPLE_KINDS: tuple[TaskKind, ...] = ("classification", "regression", "multi_label")  # the label is of a whole sample
GROUPED_KINDS: tuple[TaskKind, ...] = ("embedding", "ranking")  # a sample is several sequences, each read on its own

_RETRIEVAL = ("mrr@10", "ndcg@10", "map")
SCORED_PAIRS = ("spearman", "pearson")  # metrics of embeddings that learn the scores of pairs
METRICS: dict[TaskKind, tuple[str, ...]] = {  # of users' tasks; the first one is the score
    "classification": ("accuracy", "f1_macro"),
    "regression": ("pearson", "spearman"),
    "multi_label": ("f1_micro", "f1_macro"),
    "token_classification": ("f1", "precision", "recall"),
    "question_answering": ("f1", "exact_match"),
    "seq2seq": ("rouge1", "rouge2", "rougeL"),
    "embedding": _RETRIEVAL,
    "ranking": _RETRIEVAL,
}
_ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Names of the columns of a source: the text, the second text of a pair (or None), what is to be predicted."""

    text: str  # a list of words for token classification, the question of question answering, the query of a search
    pair: str | None = None  # the context of question answering; the positive of a query
    # several for multi-label tasks and several targets; the summary of seq2seq; none if rows teach by their texts
    labels: tuple[str, ...] = ("label",)
    negatives: tuple[str, ...] = ()  # texts that do not answer the query: a text or a list of them a row

    @property
    def every(self) -> tuple[str, ...]:
        """All of them."""
        pair = () if self.pair is None else (self.pair,)
        return (self.text, *pair, *self.negatives, *self.labels)

    @property
    def label(self) -> str:
        """The only column of labels, or all of them as an error names them."""
        return ",".join(self.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is learned: kind, classes, metrics, and the policies that protect the label from TokenDrop."""

    name: str
    kind: TaskKind
    columns: Columns
    classes: tuple[str, ...] = ()  # in label order; empty if no class is predicted
    metrics: Several = ("accuracy",)
    scored_split: str = "validation"
    drop_forbidden: str | None = None  # why TokenDrop would break the labels
    keep_pronouns: bool = False  # pronouns are not droppable (paper, App. A: WNLI)
    prefix: str = ""  # seq2seq: stands before every text, and is never dropped

    @property
    def outputs(self) -> int:
        """Numbers that the model's head predicts for a sample (for a token, if tokens have labels)."""
        if self.kind == "question_answering":
            return 2  # start and end
        if self.is_grouped:
            return 1  # the score of a pair
        return len(self.classes) or len(self.columns.labels)

    @property
    def is_grouped(self) -> bool:
        """Whether a sample is several sequences, each of which the model reads on its own."""
        return self.kind in GROUPED_KINDS

    @property
    def is_pair(self) -> bool:
        """Whether what the model reads at once is made of two texts; an embedding is of one."""
        return self.columns.pair is not None and self.kind != "embedding"


@dataclass(frozen=True, kw_only=True, slots=True)
class HubTask:
    """A task with the place of its data on the hub."""

    hub_id: str
    configuration: str | None
    splits: tuple[str, ...]
    task: Task


def _glue(
    name: str,
    text: str,
    pair: str | None,
    classes: tuple[str, ...],
    *,
    metrics: Several = ("accuracy",),
    drop_forbidden: str | None = None,
    keep_pronouns: bool = False,
) -> HubTask:
    suffixes = ("_matched", "_mismatched") if name == "mnli" else ("",)
    validation = tuple(f"validation{suffix}" for suffix in suffixes)
    test = tuple(f"test{suffix}" for suffix in suffixes)
    task = Task(
        name=f"glue/{name}",
        kind="classification" if classes else "regression",
        columns=Columns(text=text, pair=pair),
        classes=classes,
        metrics=metrics,
        scored_split=validation[0],
        drop_forbidden=drop_forbidden,
        keep_pronouns=keep_pronouns,
    )
    return HubTask(hub_id="nyu-mll/glue", configuration=name, splits=("train", *validation, *test), task=task)


def _summarization(name: str, hub_id: str, configuration: str | None, text: str, summary: str) -> HubTask:
    task = Task(
        name=name,
        kind="seq2seq",
        columns=Columns(text=text, labels=(summary,)),
        metrics=METRICS["seq2seq"],
        prefix="summarize: ",  # T5 was trained with it
    )
    return HubTask(hub_id=hub_id, configuration=configuration, splits=("train", "validation", "test"), task=task)


_GLUE = "glue/"
HUB_TASKS: dict[str, HubTask] = {
    row.task.name: row
    for row in (
        _glue(
            "cola",
            "sentence",
            None,
            ("unacceptable", "acceptable"),
            metrics=("matthews",),
            drop_forbidden="judges grammar; TokenDrop would break its labels (paper, section 3)",
        ),
        _glue("sst2", "sentence", None, ("negative", "positive")),
        _glue("mrpc", "sentence1", "sentence2", ("not_equivalent", "equivalent"), metrics=("accuracy", "f1")),
        _glue("qqp", "question1", "question2", ("not_duplicate", "duplicate"), metrics=("accuracy", "f1")),
        _glue("stsb", "sentence1", "sentence2", (), metrics=("pearson", "spearman")),
        _glue("mnli", "premise", "hypothesis", ("entailment", "neutral", "contradiction")),
        _glue("qnli", "question", "sentence", _ENTAILMENT),
        _glue("rte", "sentence1", "sentence2", _ENTAILMENT),
        _glue("wnli", "sentence1", "sentence2", ("not_entailment", "entailment"), keep_pronouns=True),
        HubTask(
            hub_id="rajpurkar/squad",
            configuration=None,
            splits=("train", "validation"),
            task=Task(
                name="squad",
                kind="question_answering",
                columns=Columns(text="question", pair="context", labels=("answers",)),
                metrics=METRICS["question_answering"],
            ),
        ),
        _summarization("xsum", "EdinburghNLP/xsum", None, "document", "summary"),
        _summarization("cnn_dailymail", "abisee/cnn_dailymail", "3.0.0", "article", "highlights"),
    )
}
KNOWN_METRICS: dict[TaskKind, frozenset[str]] = {
    kind: frozenset(names).union(*(each.task.metrics for each in HUB_TASKS.values() if each.task.kind == kind))
    for kind, names in METRICS.items()
} | {"embedding": frozenset((*_RETRIEVAL, *SCORED_PAIRS))}


def metrics_of(kind: TaskKind, columns: Columns) -> tuple[str, ...]:
    """Return the metrics of a user's task; the first one is its score."""
    return SCORED_PAIRS if kind == "embedding" and columns.labels else METRICS[kind]


def columns_record(columns: Columns) -> dict[str, Any]:
    """Return columns as records and digests have them: without negatives if there are none, as before there were."""
    found = asdict(columns)
    if not columns.negatives:
        del found["negatives"]
    return found


def task_record(task: Task) -> dict[str, Any]:
    """Return a task as records and digests have it."""
    return {**asdict(task), "columns": columns_record(task.columns)}


def short_names() -> str:
    """Return the names of hub tasks for a line, with the common beginning of GLUE's written once."""
    glue = [name.removeprefix(_GLUE) for name in HUB_TASKS if name.startswith(_GLUE)]
    others = [name for name in HUB_TASKS if not name.startswith(_GLUE)]
    return f"{', '.join(others)}, or {_GLUE}{', '.join(glue)}"
