"""What readers, folders, tables and options refuse: the source, options, what the message says, and what helps."""

import datetime
import gzip
import io
import json
import os
import zipfile

import pandas as pd
import polars as pl
import pyarrow as pa

from tests.data.hostile import (
    ARTICLE,
    CLASS,
    FILE,
    HARD,
    NAME,
    OPTION,
    OTHER,
    SHORT,
    classes,
    csv_of,
    file,
    jsonl,
    labels,
    not_utf8,
    parquet,
    saved,
    squad,
    table,
    tree,
)

ROWS = csv_of(("text", "label"), ("a", "x"), ("b", "y"))
FILL, SKIP = "Fill the row or delete it", "pass --skip-bad-rows"
CUT = "Copy or write the file again."
LABEL = {"label": NAME}
ROW = "Write an array of objects"
HEADER = "a\tb\n"
LONG_ROW = {"text": ARTICLE, NAME: HARD, OTHER: CLASS}
BOTH = {"text": NAME, "label": OTHER}


def piped(path):
    path.parent.mkdir()
    os.mkfifo(path)
    return path


def zipped(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return data.getvalue()


TEXTS = [
    (file(".csv", csv_of((NAME, OTHER), ("a", "x"), ("", "y"))), BOTH, "has no 'nnn", SKIP),
    (file(".csv", csv_of((NAME, OTHER), *[("a", "x"), ("b", "y"), ("", HARD)] * 30)), BOTH, "30 of the 90 rows", SKIP),
    (file(".csv", csv_of((NAME, OTHER), *[("", HARD)] * 30)), BOTH | {"skip_bad_rows": True}, "No row of fff",
     "Fix the"),
    (file(".csv", csv_of((NAME, "label"))), {"text": NAME}, "has no rows", "Add rows"),
    (file(".parquet", pa.table({NAME: [1, 2], "label": ["x", "y"]})), {"text": NAME}, "not texts",
     "write its numbers as texts"),
    (file(".parquet", pa.table({NAME: [{OTHER: 1}] * 2, "label": ["x", "y"]})), {"text": NAME}, "not texts",
     "Name a column"),
    (file(".parquet", pa.table({NAME: [[1]] * 2, "label": [["x"], ["y"]]})), {"text": NAME}, "not lists of words",
     "Name a column of lists of texts."),
    (file(".parquet", pa.table({NAME: [["a", None]] * 3, "label": [["x", "y"]] * 3})), {"text": NAME},
     "cannot be used. Row 1 of", SKIP),
    (file(".parquet", pa.table({NAME: not_utf8(), "label": ["x", "y"]})), {"text": NAME}, "not UTF-8", "as UTF-8."),
    (file(".parquet", pa.table({"text": ["a", "b"], NAME: not_utf8()})), LABEL, "not UTF-8", "as UTF-8."),
]  # fmt: skip

COLUMNS = [
    (file(".csv", csv_of((SHORT, *map(str.upper, "\t\n\rabcdefgh")))), {}, "has no column 'text'",
     "name the column with --text."),
    (file(".csv", csv_of((SHORT, "b"))), {"text": SHORT, "pair": HARD}, "has no column 'a",
     "Name the column with --pair."),
    (file(".csv", csv_of((SHORT, "b"))), {"text": SHORT, "target": OPTION}, "has no column 'ooo",
     "column with --target."),
    (file(".csv", f"{NAME};b\nx\n"), {}, "has no column", "pass --delimiter; else name the column with --text."),
    (file(".csv", csv_of((ARTICLE, "1"))), {}, "has no column",
     "pass --no-header, and name columns by number: --text 1."),
    (file(".csv", csv_of((f"{NAME} O",))), {}, "has no column", "name it .conll."),
    (file(".csv", f"sep=;\n{NAME};b\n"), {}, "has no column", "Delete its first line"),
    (file(".csv", f"{SHORT}\n{ROWS}"), {}, "has no column", "delete it; else name the column with --text."),
    (file(".csv", f"{ARTICLE}\n{ROWS}"), {}, "has no column", "delete it; if it is data, pass --no-header."),
    (file(".tsv", f'"{NAME}"\t"b"\n"a\tx\n'), {}, "has no column", "name the column with --text."),
    (file(".tsv", f"{SHORT}\tb\n"), {"text": "2", "label": "1"}, "has no column '2'", "column with --text."),
    (file(".jsonl", jsonl({NAME: 1})), {}, "has no column 'text'", "Name the column with --text."),
    (table([{NAME: 1}]), {}, "The train table has no column 'text'", "Name the column with --text."),
    (file(".csv", csv_of((NAME, NAME))), {}, "has two columns named 'nnn", "Rename one of them."),
    (file(".csv", csv_of((NAME,))), {"label": NAME, "target": OPTION}, "exclude each other", "Leave one of them out."),
    (file(".csv", csv_of((NAME,))), {"text": NAME, "pair": NAME}, "as another option does.", "Name another column."),
    (file(".conll", f"1\t{NAME}\tNN\tO\n2\t{NAME}\tNN\tO\n"), {}, "its words are numbered", "--text 2 --label 4"),
    (file(".conll", f"{NAME}\ta\tNN\n{NAME}\tb\tNN\n"), {}, "one value per sentence", "--text 2 --label 3"),
    (file(".iob", f"{NAME}|O b|O\n"), {}, "has a sentence in each line", "and a blank line after each sentence."),
    (file(".jsonl", jsonl({"text": ARTICLE, NAME: {OTHER: 1}})), LABEL, "contains objects", "--label joy,anger."),
    (file(".jsonl", jsonl({"text": "a", NAME: {"text": ["a"], "answer_start": [0]}})), LABEL, "no column of contexts",
     "Pass --text QUESTION --pair CONTEXT with it."),
    (file(".jsonl", jsonl({NAME: ["a"], OTHER: ["x"], "p": "b"})), BOTH | {"pair": "p"}, "no second text",
     "--pair out."),
    (lambda folder: file("", ROWS)(folder).rename(folder / FILE / f"{' ' * 150}.csv"), {}, "has no name", "Rename it."),
]  # fmt: skip

READERS = [
    (file(".xlsx", ""), {}, "has an extension that", "Use one of .csv,"),
    (file(".parquet.gz", ""), {}, "is a compressed parquet file", "Unpack it."),
    (file(".jsonl", jsonl({"text": "a"})), {"delimiter": OPTION}, "--delimiter does not apply to fff", "Leave it out."),
    (file(".csv.gz", b"\x1f\x8b" + b"x" * 50), {}, "is not a readable gzip file", CUT),
    (file(".csv.gz", gzip.compress(ROWS.encode() * 99)[:-20]), {}, "is not a readable gzip file", CUT),
    (file(".csv.zip", b"PK"), {}, "is not a readable zip file", CUT),
    (file(".csv.zip", zipped("a.csv", "b.csv")), {}, "contains 2 files", "Unpack it, and pass the file or the folder."),
    (file(".csv.zip", zipped("a.csv.gz")), {}, "contains a file that ends in .gz", "Unpack it"),
    (file(".csv.zip", zipped(f"a.{OPTION}")), {}, "contains a file that ends in .ooo", "Use one of .csv,"),
    (file(".csv.zip", zipped(OPTION)), {}, "contains a file without an extension", "Use one of .csv,"),
    (file(".gz", ""), {}, "has no extension of a format", ".csv.gz."),
    (file(".parquet", b"PAR1" + b"x" * 500), {}, "is not a readable Parquet file", CUT),
    (file(".arrow", b"x" * 500), {}, "is not a readable Arrow file", CUT),
    (file(".csv", ROWS), {"encoding": OPTION}, "--encoding 'ooo", "Pass one such as utf-8, cp1252 or utf-16."),
    (file(".csv", ROWS), {"encoding": HARD}, "--encoding 'a", "Pass one such as utf-8, cp1252 or utf-16."),
    (file(".csv", ROWS), {"delimiter": HARD}, "--delimiter must be one character", "or leave it out."),
    (file(".csv", ROWS), {"quote": OPTION}, "--quote must be one character", "or leave it out."),
    *((file(suffix, ROWS), {"encoding": "utf-16"}, "is not utf-16.", "utf-16-be if it has no mark of byte order.")
      for suffix in (".csv", ".jsonl", ".conll")),
    (file(".json", '[{"text": "a"}]\n'.encode("utf-16") + b"\0"), {"encoding": "utf-16"}, "is not utf-16.",
     "Pass the --enc"),
    (file(".json", '{"text":\n"a"}'.encode("utf-16") + b"\0"), {"encoding": "utf-16"}, "is not utf-16.",
     "Pass the --enc"),
    (file(".csv", ROWS.encode() + b"a,x\n" * 99_999 + b"\xff"), {}, "is not UTF-8: byte 1", "pass its --encoding"),
    (file(".csv", ROWS.encode() + b"\xff"), {}, "is not UTF-8: byte 1", "pass its --encoding"),
    (file(".jsonl", jsonl({"text": "a", "label": "x"}).encode() + b"\xff"), {}, "is not UTF-8: byte 1", "--encoding"),
    (file(".csv", ""), {}, "is empty", "Add a header and rows."),
    (file(".csv", "\n" + ROWS), {}, "begins with a blank line.", "Delete the line."),
    (file(".csv", ROWS + f'"{ARTICLE}'), {}, "is not well-formed", "or pass --quote none."),
    (file(".csv", "text,label\n\n" + ROWS), {}, "is a blank line", "Delete the line"),
    (file(".csv", ROWS + f"{ARTICLE},x,y\n"), {}, "a different number of fields", "another --delimiter"),
    (file(".tsv", f'text\tlabel\n"{ARTICLE}\tx\n"b\n'), {}, "a different number of fields", "pass a --delimiter; or"),
    (file(".csv", ROWS + f"'{ARTICLE}, b',x\n\"c\",y\n"), {}, "others in", "Pass the --quote around the fields"),
    (file(".txt", f'text\tlabel\n"a, {ARTICLE}"\tx\nb\ty\n'), {}, "may belong to its texts", "Pass the --quote around"),
    (file(".csv", ROWS + f"{ARTICLE},x,y\n" * 30), {}, "30 of the 32 rows looked at", SKIP),
    (file(".txt", f"{ARTICLE}\n"), {}, "has no delimiter", "Pass its --delimiter;"),
    (file(".txt", f"{CLASS} O\n"), {}, "has no delimiter", "name it .conll."),
    (file(".csv", "a;b|c\n"), {"no_header": True}, "may be separated by", "Pass its --delimiter."),
    (file(".conll", "\n"), {}, "has no words", "Write a word and its tag in each line."),
    (file(".conll", f"{CLASS} O\n{CLASS}\n"), {}, "the first word has 2", "end a sentence with a blank line"),
    (file(".conll", "a O\nb B-x\n\n" + "a O\na\n\n" * 30), {}, "30 of the 31 rows looked at", SKIP),
    (file(".conll", "a NN\n\n# NN\n"), {}, "can be a comment or the word #", "Delete the line if it is a comment;"),
]  # fmt: skip

JSON = [
    (file(".json", ""), {}, "is empty", "Write one JSON object per line."),
    (file(".json", jsonl(LONG_ROW, "[1]")), LABEL, "is not a JSON object",
     'such as {"text": "a fine film", "label": 1}'),
    (file(".json", jsonl(LONG_ROW, HARD[:5])), LABEL, "is not JSON", 'such as {"text": "a fine film", "label": 1}'),
    (file(".json", jsonl(LONG_ROW, {"text": "a", NAME: "x"}, *["1" * 5000] * 30)), LABEL,
     "30 of the 32 rows looked at", SKIP),
    (file(".json", jsonl(LONG_ROW, f'{{"{NAME}": 1, "{NAME}": 2}}')), LABEL, "has two keys 'nnn", "Rename one of them"),
    (file(".json", jsonl(LONG_ROW, f'{{"{NAME}": 1, " {NAME}": 2}}')), LABEL, "has two keys 'nnn",
     "Rename one of them"),
    (file(".json", jsonl(LONG_ROW, "", LONG_ROW)), LABEL, "is a blank line", "Delete the line"),
    (file(".json", jsonl({"\ud800" * 99: 1})), {}, "half of a surrogate pair in a key", "Fix the row."),
    (file(".json", jsonl({NAME: ARTICLE, "label": 1}, {NAME: [ARTICLE] * 9, "label": 2})), {"text": NAME}, "not a text",
     "Write a text in every row, or a list"),
    (file(".json", jsonl({NAME: ARTICLE, "label": 1}, *[{NAME: 2, "label": 2}] * 30, {NAME: "a", "label": 2})),
     {"text": NAME},
     "30 of the 32 rows", SKIP),
    (file(".json", labels("x", {OTHER: ARTICLE})), LABEL, "not a text or a number", "Fix the row"),
    (file(".json", jsonl({NAME: ["a"], OTHER: ["x"]}, {NAME: ARTICLE, OTHER: ["y"]})), BOTH, "not a list of texts.",
     "Write a text in every row, or a list"),
    (file(".json", jsonl({NAME: ["a"], OTHER: ["x"]}, {NAME: ["a"], OTHER: ARTICLE})), BOTH,
     "not a list of texts or numbers", "Fix the row"),
    (file(".json", jsonl({NAME: "\ud800", "label": "x"}, {NAME: ARTICLE, "label": "y"})), {"text": NAME},
     "half of a surrogate pair", "Fix the row"),
    (file(".json", f"[{json.dumps(LONG_ROW)}, {json.dumps({NAME: ARTICLE})}"), LABEL, "is not closed after row 2",
     "a ]."),
    (file(".json", f"[{json.dumps(LONG_ROW)} 1"), LABEL, "is followed by 1", ROW),
    (file(".json", f"[{json.dumps(LONG_ROW)}, {HARD[:5]}"), LABEL, "is not JSON", ROW),
    (file(".json", f"[{json.dumps(LONG_ROW)}, {'1' * 5000}]"), LABEL, "is not JSON", ROW),
    (file(".json", f"[{json.dumps(LONG_ROW)}] 1"), LABEL, "has more text after its array", ROW),
    (file(".json", "[]"), {}, "is empty", ROW),
    (file(".json", json.dumps(LONG_ROW, indent=1)), {}, "contains one JSON object", ROW),
    (file(".json", f'{{"{NAME}": \n {OPTION}'), {}, "is not JSON", ROW),
    (file(".json", '{"a": \n' + "[" * 100_000), {}, "is nested too deeply", ROW),
    (file(".json", f'{{"{NAME}": 1,\n "{NAME}": 2}}'), {}, "has two keys 'nnn", "Rename one of them."),
    (file(".json", json.dumps({key: [LONG_ROW] for key in ("data", "train", "validation", "valid", "test")})), {},
     "several splits in one object", "Write each split to a file of its own"),
    (file(".json", json.dumps({NAME: [1], OTHER: [2]})), {}, 'not rows (orient="list")', "Write rows: in pandas"),
    (file(".json", json.dumps([{"paragraphs": [LONG_ROW]}])), {}, "articles of SQuAD in an array",
     "Write SQuAD's whole"),
    (file(".json", json.dumps({"train": [[ARTICLE, CLASS]], NAME: [["a", "b"]]})), {}, "with rows that are lists",
     "Write each split to a file of its own"),
    (file(".json", "[{}]"), {}, "it has none.", "Name the column with --text."),
    (file(".json", json.dumps({"data": [{"paragraphs": 1}]})), {}, "no list of objects 'paragraphs'",
     "Write it as SQuAD"),
    (file(".json", json.dumps({"data": [{"paragraphs": [{"qas": 1}]}]})), {}, "no list of objects 'qas'",
     "Write it as"),
    (file(".json", squad({"answers": [{"text": ARTICLE, "answer_start": 1}], "is_impossible": True})), {},
     "is impossible, but has answers", "Fix the row"),
    (file(".json", squad({"question": ARTICLE, "answers": [{"text": ARTICLE}]})), {}, "not answers.",
     'Write answers such as {"text": ["Paris"], "answer_start": [17]}'),
    (file(".json", squad({"question": "a", "answers": [{"text": "a", "answer_start": 1 << 70}]})), {},
     "has a number of more than 64 bits", "Fix the row."),
]  # fmt: skip

FOLDERS = [
    (tree({"reviews.csv": ROWS}), {}, "no folder train, no state.json", "Name it train with .csv,"),
    (tree({"train.csv": ROWS, "train.tsv": ROWS}), {}, "has two files of the train split", "Keep one of them."),
    (tree({f"train/{FILE}.csv": ROWS, f"train/{CLASS[:200]}/1.txt": "a"}), {}, "contains both files of rows",
     "Keep one"),
    (tree({f"train/{FILE}.csv": ROWS, f"train/{FILE}.jsonl": ""}), {}, "different formats", "Use one format."),
    (tree({"train/a.csv": csv_of((NAME, OTHER)), "train/b.csv": csv_of((NAME, HARD))}), {}, "but missing in",
     "same columns"),
    (tree({"train-00000-of-00002-aa.csv": "", "train-00000-of-00002-bb.csv": ""}), {}, "are one shard",
     "Keep one of them."),
    (tree({"train-00000-of-00002.csv": ""}), {}, "-00001-of-00002.csv is missing", "Put it there"),
    (tree({"train-00000-of-00001.csv": "", "train-00007-of-00001.csv": ""}), {}, "is not one of 00001 shards",
     "Remove it"),
    (saved({"_indices_files": [{"filename": OPTION}]}), {}, "was saved with a list of its chosen rows",
     "flatten_indices()"),
    (saved({"_data_files": []}), {}, "names no files of rows", "Save it again with save_to_disk."),
    (saved({"_data_files": [{"filename": FILE}]}), {}, "is missing", "Save it again with save_to_disk."),
    (saved({"_data_files": [{"filename": "/" + OPTION}]}), {}, "is not a saved Dataset", "with save_to_disk."),
    (saved({"schema_version": OPTION}), {}, "has schema version", "Save it again with save_to_disk."),
    (saved({"splits": [OPTION, NAME]}, "dataset_dict.json"), {}, "has no train split; its splits",
     "Name one of them train."),
    (saved({"splits": ["train", "dev", "val"]}, "dataset_dict.json"), {}, "two files of the validation split",
     "Keep one"),
    (saved(), {"encoding": OPTION}, "--encoding does not apply", "Leave it out."),
    (tree({f"train/{OPTION[:200]}/{FILE}/a.txt": ""}), {}, "has no .txt files, but a folder", "Put its texts beside"),
    (tree({f"train/{OPTION[:200]}/{FILE}.text": ""}), {}, "do not end in .txt", "Rename those that are texts"),
    (tree({f"train/{OPTION[:200]}/{FILE}.txt": "a"}), {"delimiter": ","}, "--delimiter does not apply",
     "Leave it out."),
    (tree({f"train/{OPTION[:200]}/{FILE}.txt": "a", "train/\udce9/1.txt": "a"}), {}, "a name that is not UTF-8",
     "Rename it"),
    (tree({f"{OPTION[:200]}/{FILE}.txt": "a"}), {}, "but folders of texts", "pass the folder that contains it."),
    (tree({"train/a/1.txt": "a", "train/b/1.txt": "b", f"test/{FILE}.txt": "c"}), {}, "in no folder of a class",
     "or move the folder away."),
    (tree({f"{OPTION[:200]}/{FILE}": "a"}), {}, "do not end in .txt", "put their folders into a folder train/."),
    (tree({f"train/{OPTION[:200]}/{FILE}.txt": b"\xff", "train/b/1.txt": "a"}), {}, "is not UTF-8",
     "pass its --encoding"),
    (tree({f"train/{OPTION[:200]}/{FILE}.txt": "", "train/b/1.txt": "a"}), {}, "has no 'text'", SKIP),
    (tree({f"train/{FILE}0.csv": ROWS, f"train/{FILE}1.csv": "text,label\n,x\n,y\n"}), {}, "2 of the 4 rows", SKIP),
    (tree({f"train/{FILE}{n}.parquet": parquet([0], feature=classes(CLASS, n)) for n in "ab"}), LABEL,
     "different names of the classes", "Write both with the same class names."),
]  # fmt: skip

OPTIONS = [
    (table(OPTION), {}, "Unknown task 'ooo", "Pass a path, sample, squad,"),
    (table(f"{FILE}/{HARD}"), {}, "Unknown task 'fff", "Pass a path, sample, squad,"),
    (table(f"{OPTION}://a"), {}, "needs a package that is not here", "Run: pip install 'tdbs[remote]'"),
    (table("cnn_dailymail"), {"label_separator": OPTION}, "--label-separator only applies", "Leave the option out."),
    (table("cnn_dailymail"), {}, "Cannot load cnn_dailymail from the hub", "files DIR/cnn_dailymail/<split>.parquet."),
    (table("cnn_dailymail"), {"mirror": "/" + OPTION}, "The mirror has no file", "pass --mirror (or set TDBS_MIRROR)"),
    (table("cnn_dailymail"), {"mirror": f"/{FILE}/{FILE}"}, "The mirror has no file",
     "pass --mirror (or set TDBS_MIRROR)"),
    (file(".csv", ROWS), {"prefix": OPTION}, "--prefix only applies to", "name the targets with --target."),
    (file(".csv", ROWS), {"validation": OPTION}, "--validation 'ooo", "or a fraction such as 0.1."),
    (file(".csv", ROWS), {"validation": HARD}, "--validation 'a", "or a fraction such as 0.1."),
    (file(".csv", ROWS), {"validation": "1" * 300}, "--validation must be between 0 and 1", "a fraction such as 0.1."),
    (file(".csv", ROWS + "a,x\na,y\n" * 9), {"validation": 0.000123456789012345}, "leaves 20 to train",
     "Pass another fraction"),
    (file(".csv", ROWS), {"validation": 0.6}, "whose classes have one or two rows", "Pass a file of validation rows."),
    (tree({"train.csv": ROWS, "validation.csv": ROWS}), {"validation": OPTION}, "already has a validation",
     "--validation out."),
    (file(".json", squad(*[{"question": ARTICLE, "answers": [{"text": "it", "answer_start": 0}]}] * 4)),
     {"validation": 0.123456789012345}, "have one context", "Pass a file of validation rows."),
]  # fmt: skip

TABLES = [
    (table({NAME: [1], OTHER: [2]}), {}, "is a dict of columns", "Pass Dataset.from_dict(columns)"),
    (table({NAME: [{}], OTHER: [{}]}), {}, "has no train split; its splits", "Name one of them train."),
    (table([]), {}, "has no rows", "Add rows, or leave it out."),
    (table(type(NAME, (), {})()), {}, "is of type nnn", "Pass a Dataset, a DataFrame,"),
    (table([{"text": "a"}, type(NAME, (), {})()]), {}, "is of type nnn", "Make each row a dict of its columns."),
    (table([{1: "a"}]), {}, "has keys that are not texts", "Make each row a dict of its columns."),
    (table(pa.table([[1], [2]], [NAME, NAME])), {}, "has two columns named 'nnn", "Rename one of them."),
    (table([{"text": "a", NAME: 1}, {"text": "b", NAME: ARTICLE}]), LABEL, "which does not fit", "values of one type"),
    (table([{"text": "a", NAME: datetime.date(2020, 1, 1)}]), LABEL, "neither texts nor labels",
     "Name another column."),
    (table([{"text": "a", NAME: "x"}]), LABEL | {"delimiter": OPTION}, "only applies to files", "Leave it out."),
    (table(pd.DataFrame({"text": ["a", "b"], NAME: pd.cut([1, 2], 2)})), LABEL, "neither texts nor labels",
     "Name another column."),
    (table(pl.LazyFrame({"text": ["a"]}).select(NAME)), {}, "cannot be collected", "Call its collect() yourself"),
    (lambda folder: piped(folder / FILE / f"{FILE}.csv"), {}, "is neither a file nor a folder", "Write what comes out"),
]  # fmt: skip

FILES = [*TEXTS, *COLUMNS, *READERS, *JSON, *FOLDERS, *OPTIONS, *TABLES]
