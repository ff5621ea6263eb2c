"""An audit within a bound of memory finds what one without a bound finds, and refuses a bound that it cannot keep."""

import json
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import tdbs
from tdbs.analysis.audit.audit import Audit, audit
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset, read_split
from tdbs.pipeline.duplicates.budget import Amount, amount_of
from tests.analysis.audit.made import clean, prepared, write_tokenizer
from tests.analysis.audit.test_grouped_repeats import planted
from tests.conftest import SHARED
from tests.in_process import run_command

BERT = str(SHARED / "tokenizers/bert-base-uncased")
PEAK = """
import resource, sys
from tdbs.analysis.audit.audit import audit
audit(sys.argv[1], memory=int(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def told(found: Audit) -> str:
    """Return all that an audit says, the rows of each finding too."""
    findings = [each.record() | {"rows": each.rows.tolist()} for each in found.findings]
    return json.dumps(asdict(replace(found, findings=())) | {"findings": findings}, default=str)


def check_same(dataset: PreparedDataset) -> Audit:
    """Compare the audit with one that has just as much memory as it needs, so that all is spilled."""
    amount = amount_of(dataset.manifest)
    assert amount.bytes_spilled < amount.bytes_in_memory
    whole = audit(dataset, memory=amount.bytes_in_memory)
    assert told(audit(dataset, memory=amount.bytes_spilled)) == told(whole)
    return whole


def mirror_of(name: str, files: dict[str, str], most: int, folder: Path) -> Path:
    """Write a mirror of the first rows of some real files, by the splits that they are to be."""
    (folder / "mirror" / name).mkdir(parents=True)
    for split, file in files.items():
        table = pq.read_table(SHARED / f"datasets/{name}/{file}.parquet").slice(0, most)
        pq.write_table(table, folder / f"mirror/{name}/{split}.parquet")
    return folder / "mirror"


@pytest.mark.real_data
@pytest.mark.parametrize("task", ["sst2", "mrpc", "stsb", "qqp"])
def test_real_tasks_have_the_same_findings(task: str, tmp_path: Path):
    """One text or two; classes or numbers; duplicates, leaks and conflicts are among the findings."""
    mirror = mirror_of(f"glue/{task}", {name: name for name in ("train", "validation")}, 8000, tmp_path)
    made = tdbs.prepare(f"glue/{task}", mirror=mirror, tokenizer=BERT, out=tmp_path / "d", progress=False)
    assert len(check_same(made.dataset).findings) > 2


@pytest.mark.real_data
@pytest.mark.parametrize("kind", ["embedding", "ranking"])
def test_queries_have_the_same_findings(kind: str, tmp_path: Path):
    """Rows of a query, a positive and a negative, with planted repeats and leaks."""
    table = pq.read_table(SHARED / "datasets/squad/train.parquet", columns=["question", "context"]).slice(0, 160)
    rows = table.to_pylist()
    squad = [
        {"query": row["question"].strip(), "positive": row["context"], "negative": rows[(place + 80) % 160]["context"]}
        for place, row in enumerate(rows)
    ]
    train, validation = planted(squad)
    tables = {"train": train, "validation": validation}
    columns = ["query", "positive", "negative"]
    made = tdbs.prepare(tables, task=kind, columns=columns, tokenizer=BERT, out=tmp_path / "d", progress=False)
    assert {"leaks", "exact_duplicates"} <= {each.kind for each in check_same(made.dataset).findings}


@pytest.mark.real_data
def test_questions_have_the_same_findings(tmp_path: Path):
    """Windows of 64 tokens, with answers that are places."""
    mirror = mirror_of("squad", {"train": "validation", "validation": "validation"}, 600, tmp_path)
    made = tdbs.prepare("squad", mirror=mirror, tokenizer=BERT, max_length=64, out=tmp_path / "d", progress=False)
    assert "leaks" in {each.kind for each in check_same(made.dataset).findings}


@pytest.mark.parametrize("seed", range(6))
def test_random_data_have_the_same_findings(seed: int, tmp_path: Path):
    """Sizes, lengths, classes and letters are drawn, and some rows of train stand there twice, or in validation."""
    made = clean(seed)
    stream = random.Random(seed)  # noqa: S311
    made.train += [dict(row) for row in stream.choices(made.train, k=9)]
    made.validation += [dict(row) for row in stream.choices(made.train, k=9)]
    found = check_same(prepared(made, tmp_path / "d", write_tokenizer(tmp_path / "words")))
    assert {"exact_duplicates", "leaks"} <= {each.kind for each in found.findings}


def test_texts_are_counted_as_they_are_compared(tmp_path: Path):
    """By hand: rows of a query and two texts have three; a pair for a reranker has two for each text to rank."""
    tokenizer = str(write_tokenizer(tmp_path / "words"))
    rows = [{"query": f"a {word}", "positive": f"the {word}", "negative": "it was"} for word in ("b", "c", "d", "e")]
    texts = {}
    for kind in ("embedding", "ranking"):
        columns = ["query", "positive", "negative"]
        out = tmp_path / kind
        dataset = tdbs.prepare(rows, task=kind, columns=columns, tokenizer=tokenizer, out=out, progress=False).dataset
        amount = amount_of(dataset.manifest)
        assert (amount.rows, amount.tokens) == (4, int(read_split(dataset, "train").lengths_N.sum()))
        texts[kind] = amount.texts
    assert texts == {"embedding": 4 * 3, "ranking": 4 * 2 * 2}


def test_too_little_memory_is_refused_before_a_shard_is_read(tmp_path: Path):
    """The shards are gone, so nobody could read one; the number in the next step is enough."""
    dataset = prepared(clean(1), tmp_path / "d", write_tokenizer(tmp_path / "words"))
    for shard in dataset.path.rglob("*.parquet"):
        shard.unlink()
    rows, least = len(dataset), amount_of(dataset.manifest).bytes_spilled
    with pytest.raises(ConfigError) as caught:
        audit(dataset, memory="256MiB")
    assert (caught.value.message, caught.value.next_step) == (
        f"--memory 256MiB is too little memory for tdbs audit: {rows:,} samples take {least:,} bytes.",
        "Pass --memory 321MiB or more.",
    )
    assert 320 << 20 < least <= 321 << 20
    ended = run_command("audit", dataset.path, "--memory", "1KiB", folder=tmp_path)
    assert ended.code == 1
    assert "--memory 1KiB is too little memory for tdbs audit" in ended.stderr


def test_the_bound_of_ten_million_rows_is_below_the_default():
    """Rows of one text of 14 tokens; so are a million of 200 tokens. In memory neither would fit."""
    for amount in (
        Amount(rows=10_000_000, texts=10_000_000, tokens=140_000_000),
        Amount(rows=1_000_000, texts=1_000_000, tokens=200_000_000),
    ):
        assert amount.bytes_spilled < 2 << 30 < amount.bytes_in_memory


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
@pytest.mark.parametrize("is_spilled", [False, True])
def test_the_peak_is_within_the_bound(is_spilled: bool, tmp_path: Path):
    """600,000 rows of words of SST-2, in a process of its own: both bounds are kept."""
    from benchmarks.bench_prepare_rows import write_rows

    write_rows(tmp_path / "rows.parquet", SHARED / "datasets/glue/sst2/train.parquet", "sentence", 600_000)
    made = tdbs.prepare(str(tmp_path / "rows.parquet"), tokenizer=BERT, out=tmp_path / "d", progress=False)
    amount = amount_of(made.dataset.manifest)
    memory = amount.bytes_spilled if is_spilled else amount.bytes_in_memory
    command = [sys.executable, "-c", PEAK, str(made.dataset.path), str(memory)]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 0.4 * memory < peak <= memory
