"""What labels are refused: the source, options, what the message says, and what helps."""

import datasets
import numpy as np
import pyarrow as pa

from tests.data.hostile import (
    ARTICLE,
    CLASS,
    FILE,
    HARD,
    NAME,
    OPTION,
    OTHER,
    classes,
    csv_of,
    file,
    jsonl,
    labels,
    parquet,
    squad,
    table,
    tree,
)

LABEL = {"label": NAME}
BOTH = {"label": f"{NAME},{OTHER}"}
SKIP = "pass --skip-bad-rows"
AS_CLASS = "pass --label-type class"
WORDS = {"text": NAME, "label": OTHER}
ASKED = {"text": "q", "pair": "c", "label": f"{NAME},{OTHER}"}
MANY = [f"{name}{CLASS}" for name in "abcdefgh"]


def columns(*rows):
    return file(".csv", csv_of(("text", NAME, OTHER), *(("a", *row) for row in rows)))


def names(content):
    """Return the source, with the option that takes a file of class names."""

    def make(folder):
        path = tree({f"{FILE}.txt": content}, f"{FILE}.txt")(folder)
        return file(".csv", csv_of(("text", NAME), ("a", ARTICLE), ("b", HARD)))(folder), {"label_names": str(path)}

    return make


def splits(train, validation):
    return tree({"train.jsonl": labels(*train), "validation.jsonl": labels(*validation)})


def mirror(column):
    """Return a mirror's option; its only file is damaged."""

    def make(folder):
        path = tree({"glue/sst2/train.parquet": pa.table({"sentence": ["a", "b"]} | column)})(folder)
        return "glue/sst2", {"mirror": str(path)}

    return make


def streamed(*rows, features=None):
    return table(datasets.IterableDataset.from_generator(lambda: iter(rows), features=features))


SINGLE = [
    (file(".jsonl", labels("x", "x")), LABEL, "Every label of fff", "rows of at least two classes."),
    (file(".jsonl", labels(CLASS, CLASS)), LABEL, "Every label of fff", "rows of at least two classes."),
    (file(".jsonl", labels(1, HARD)), LABEL, "and some are not", AS_CLASS),
    (file(".jsonl", labels(1.5, ARTICLE)), LABEL, "and some are not", "--label-type regression with --skip-bad-rows."),
    (file(".jsonl", labels(*[HARD] * 30)), LABEL | {"label_type": "regression"}, "30 of the 30 rows looked at", SKIP),
    (file(".jsonl", labels(1.5, ARTICLE)), LABEL | {"label_type": "regression"}, "not a finite number", AS_CLASS),
    (file(".jsonl", labels("1," + "5" * 300, 2)), LABEL, "have a decimal comma",
     '--label-separator "," for several labels.'),
    (file(".jsonl", labels("1" + ",555" * 99, 2)), LABEL, "have a comma", '--label-separator "," for several labels.'),
    (file(".parquet", parquet([b"a", b"b"])), LABEL, "which cannot be a label",
     "a column of texts or numbers with --label."),
    (file(".jsonl", labels("b'\\xff'", "x")), LABEL, "contains bytes that are not UTF-8", "Write the file as UTF-8."),
    (splits(MANY, [HARD]), LABEL, "which train lacks", "add rows of this class to train"),
    (splits("ab", [CLASS] * 30), LABEL, "30 of the 30 rows looked at", SKIP),
    (file(".jsonl", labels("x", f"['{CLASS}', 'y']")), LABEL, "a list or an object, not a label", AS_CLASS),
    (file(".jsonl", labels("x", "{'text': ['a'], 'answer_start': [0]}")), LABEL, "not a label",
     "Write answers in JSONL."),
    (file(".jsonl", labels("['a', 'b']", "['b']", ARTICLE)), LABEL, "which is not a list as others are", AS_CLASS),
    (file(".jsonl", labels("['a', 'b']", f"['{CLASS}' None]")), LABEL, "a list that cannot be read", AS_CLASS),
    (file(".jsonl", labels(*["['a', 'b']"] * 8192, *[ARTICLE] * 30)), LABEL, "30 of the 8,222 rows looked at", SKIP),
    (file(".csv", csv_of((NAME, OTHER), *[("['a']", "['O', 'B-x']")] * 8192, *[(ARTICLE, "['O']")] * 2)), WORDS,
     "2 of the 8,194 rows", SKIP),
]  # fmt: skip

SEVERAL = [
    (file(".jsonl", labels([CLASS], ["y"])), LABEL | {"label_type": "regression"}, "contains lists of classes",
     "Name it alone"),
    (file(".jsonl", labels([CLASS], [CLASS])), LABEL, "contain 1 classes", "rows of at least two classes."),
    (file(".jsonl", labels([1, 1, 0], [1, 1])), LABEL, "0 and 1 of different lengths", "columns: --label joy,anger."),
    (splits([[0, 1] * 99, [1, 0] * 99], [[0, 2] * 99]), LABEL, "entries of 0 and 1", "--skip-bad-rows."),
    (splits([[0, 1] * 99, [1, 0] * 99], [[0] * 9] * 30), LABEL, "30 of the 30 rows looked at", "--skip-bad-rows"),
    (splits([["a"], MANY], [[HARD]]), LABEL, "which train lacks", "add rows of this class to train"),
    (file(".jsonl", labels([1.5], [2])), LABEL, "which cannot be a class", "name them: --label x,y."),
    (columns((1, 0), (2, ARTICLE)), BOTH, "not a finite number", "1 and 0 for yes and no"),
    (columns((1, 0), (2, 1)), BOTH | {"label_type": "class"}, "neither 0 nor 1", "pass --label-type regression"),
    (columns((1, 0), (HARD, 1)), BOTH | {"label_type": "class"}, "neither 0 nor 1", "1 and 0 for yes and no"),
    (columns((1, 0), (2, f"['{CLASS}', 'y']")), BOTH, "not a label", AS_CLASS),
    (file(".parquet", parquet([0, 2], feature=classes(CLASS, "b", HARD)).append_column(OTHER, [[0, 1]])), BOTH,
     "contains classes (ccc", "Name one label column, or pass --label-type regression."),
    (tree({"train.parquet": parquet([[0, 1], [1, 0]], feature=[classes("a", CLASS)]),
           "validation.parquet": parquet([[0, 1], [1, 0]], feature=[classes("a", HARD)])}), LABEL,
     "has a position for the class", "Write the file with the classes of train."),
]  # fmt: skip

SHAPES = [
    (columns(("a", "b")), LABEL | {"label_separator": " " * 300}, "is blank", "Pass a mark such as , or ;."),
    (columns((1, 0)), BOTH | {"label_separator": OPTION}, "--label-separator only applies", "Leave it out."),
    (columns((1, 0)), LABEL | {"label_separator": OPTION, "label_type": "regression"}, "makes classes",
     "Leave one of them"),
    (columns((1, 0)), BOTH | {"label_names": OPTION}, "--label-names only applies", "Leave it out."),
    (columns((1, 0)), LABEL | {"label_names": OPTION}, "cannot be read: File name too long",
     "Pass --label-names a text file"),
    (columns((1, 0)), LABEL | {"label_names": f"/{FILE}/{FILE}"}, "cannot be read: No such",
     "Pass --label-names a text file"),
    (names(b"\xff"), LABEL, "cannot be read", "Pass --label-names a text file"),
    (names(CLASS), LABEL, "names 1 classes", "Write at least two, one per line."),
    (names(f"{CLASS}\n\nb"), LABEL, "Line 2 of fff", "Write a class, or delete it."),
    (names(f"{CLASS}\n{CLASS}"), LABEL, "are one label", "another name for the class."),
    (names(f"{CLASS}\n{OTHER}"), LABEL, "2 of the 2 rows looked at", "name each class in --label-names"),
]  # fmt: skip

GIVEN = [
    (file(".parquet", parquet([0, 5], feature=classes(CLASS, OTHER))), LABEL, "has the class 5 in 'nnn",
     "a name for each"),
    (file(".parquet", parquet([[0], [5]], feature=[classes(CLASS, OTHER)])), LABEL, "has the class 5 in",
     "a name for each"),
    (file(".parquet", parquet([0.0, 0.123456789012345], feature=classes(CLASS, OTHER))), LABEL, "which has no name",
     "a name"),
    (file(".parquet", parquet([0, 1], feature=classes(CLASS, CLASS))), LABEL, "are one label",
     "another name for the class."),
    (file(".parquet", parquet([0, 1], feature=classes("\ud800" * 99, "b"))), LABEL, "half of a surrogate pair",
     "another name"),
    (mirror({NAME: [0, 1]}), {}, "has no column 'label'", "Write it with the columns of the task on the hub."),
    (mirror({"label": ["a", "b"]}), {}, "not class ids", "Write the file again from the task's own data."),
    (mirror({"label": [{NAME: 1}] * 2}), {}, "not class ids", "Write the file again from the task's own data."),
    (mirror({"label": [-1, -1]}), {}, "has no labels", "Use a train split with labels."),
    (mirror({"label": [0, -1]}), {}, "has no label.", "Write the file again from the task's own data."),
    (mirror({"label": [0, 7]}), {}, "has a label outside 0 to 1", "Write the file again from the task's own data."),
]  # fmt: skip

WORD_LABELS = [
    (file(".jsonl", jsonl(*[{NAME: ["a"], OTHER: [CLASS]}] * 2)), WORDS, "have 1 classes",
     "words of at least two classes."),
    (file(".jsonl", jsonl({NAME: ["a", "b"], OTHER: ["x", "y"]}, {NAME: ["a"], OTHER: [CLASS, CLASS]})), WORDS,
     "has 1 words, but 2 labels", "Give each word one label"),
]  # fmt: skip

ANSWERS = [
    (file(".csv", csv_of(("q", "c", NAME, OTHER), (ARTICLE, ARTICLE, ARTICLE, 7))), ASKED, "not at character 7",
     "from 0."),
    (file(".csv", csv_of(("q", "c", NAME, OTHER), *[("a", "b", "b", 0)] * 8192, ("a", "b", "b", HARD))), ASKED,
     "not a whole number", "the answer's first character, counted from 0"),
    (file(".json", squad({"question": "a", "answers": [{"text": ARTICLE, "answer_start": 3}]})), {},
     "not at character 3",
     "Fix the row or delete it"),
    (file(".json", squad(*[{"question": "a", "answers": [{"text": HARD, "answer_start": 3}]}] * 30)), {},
     "30 of the 30 rows looked at", SKIP),
    (file(".jsonl", jsonl({"q": "a", "c": "b", NAME: {"text": ["b"], "answer_start": [0, 1]}})), ASKED | LABEL,
     "has 1 answers, but 2 positions", "Fix the row or delete it"),
    (table(pa.table({"q": ["a"], "c": ["b"], NAME: [{"text": [["a"]], "answer_start": [NAME]}]})), ASKED | LABEL,
     "not answers", "Write answers such as"),
]  # fmt: skip

STREAMS = [
    (streamed(*[{"text": "a", NAME: 1}] * 8192, {"text": "a", NAME: ARTICLE}), {},
     "Rows 8193 to 8193 of the train table",
     "Give the IterableDataset features"),
    (streamed({"text": "a", NAME: 1}, {"text": "b", NAME: ARTICLE}), {}, "", "Give the IterableDataset features"),
    (streamed({"text": ARTICLE}, features=datasets.Features({"text": datasets.Value("int64")})), {}, "", "features"),
    (streamed(), {}, "has no rows", "Add rows, or leave it out."),
    (table({NAME: datasets.IterableDataset.from_generator(lambda: iter(()))}), {}, "has no rows", "Add rows"),
    (table(datasets.Dataset.from_dict({"text": ["a"]}).with_transform(np.asarray)), {}, "has a transform",
     "Apply it with"),
]  # fmt: skip

LABELS = [*SINGLE, *SEVERAL, *SHAPES, *GIVEN, *WORD_LABELS, *ANSWERS, *STREAMS]
