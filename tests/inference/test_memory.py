"""`--memory` bounds predicting: calls and blocks fit by the predicted peak, predictions stay, or it is refused."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tdbs.cli import app
from tdbs.errors import ConfigError
from tdbs.inference.batches import inference_strategy
from tdbs.inference.checkpoints import open_checkpoint
from tdbs.inference.memory import CallTerms, Room, call_bytes, call_terms, fitted_plan, room_within, rows_of_block
from tdbs.inference.predict import predict
from tdbs.inference.prepared import prepared_input
from tdbs.train.planning.model_size import model_size
from tdbs.train.planning.plan import plan_epoch, plan_one_by_one
from tdbs.train.planning.strategies import STRATEGIES
from tests.examples import examples
from tests.inference.conftest import read_jsonl, write_csv, write_jsonl
from tests.inference.models import save_checkpoint
from tests.inference.test_rankings import ROWS

SIZES = {"vocab_size": 99, "hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 256}
TERMS = CallTerms(
    size=model_size({"model_type": "bert", **SIZES, "num_hidden_layers": 3}),
    on_cuda=False,
    bf16=False,
    is_fused=False,
    token_outputs=0,
    has_words=False,
)
LENGTH = 128  # most tokens of a text of the small checkpoints
CUT = [name for name, each in STRATEGIES.items() if each.drop == "none" and name not in ("batch_rebalance", "packed")]


def tight_bound(folder, *, texts: float, **options: object) -> int:
    """Return the bytes that let a call take as many of the longest texts, and no more."""
    checkpoint = open_checkpoint(folder, precision="fp32")
    terms = call_terms(checkpoint)
    strategy = inference_strategy(None, checkpoint.task, in_rows=checkpoint.in_rows, **options)
    room = room_within(1 << 31, checkpoint, strategy, block_rows=8192, data=0, note=print)
    alone = plan_one_by_one(np.array([0]), np.array([checkpoint.limits.max_length]))
    return (1 << 31) - room.calls + int(texts * call_bytes(alone, terms)[0])


def long_texts(texts) -> list[str]:
    return [text for text in texts if text.strip()] + ["a film of great charm and " * count for count in range(3, 30)]


# --------------------------------------------------------------------------------------------------------- the plans


@examples(60)
@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=60),
    name=st.sampled_from(CUT),
    share=st.floats(0.0, 1.2),
    terms=st.sampled_from([TERMS, replace(TERMS, bf16=True), replace(TERMS, is_fused=True, token_outputs=5)]),
)
def test_every_call_fits_and_every_sample_is_in_one(lengths, name, share, terms):
    """If the longest sample fits alone. A plan that fits stays as it is."""
    strategy = replace(STRATEGIES[name], base_batch_size=16, caps="16")

    def planned(strategy):
        return plan_epoch(np.array(lengths), None, strategy, max_length=200, seed=1, epoch=0)

    whole = planned(strategy)
    least = call_bytes(planned(replace(strategy, max_tokens=1)), terms).max()
    most = call_bytes(whole, terms).max()
    room = Room(terms=terms, calls=int(least + share * max(most - least, 0)) + 1)
    found = fitted_plan(planned, strategy, room)
    assert call_bytes(found, terms).max() <= room.calls
    assert sorted(found.sample_ids_N.tolist()) == list(range(len(lengths)))
    if most <= room.calls:
        assert found.batch_offsets_B1.tolist() == whole.batch_offsets_B1.tolist()


def test_the_largest_calls_that_fit_are_taken():
    """Samples of one length: a call takes as many as there is room for."""

    def planned(strategy):
        return plan_epoch(np.full(64, 32), None, strategy, max_length=32, seed=1, epoch=0)

    of_six = call_bytes(planned(replace(STRATEGIES["random"], max_tokens=6 * 32)), TERMS).max()
    sizes = {}
    for name, bytes_of_calls in (("six", of_six), ("five", of_six - 1)):
        room = Room(terms=TERMS, calls=int(bytes_of_calls))
        sizes[name] = int(fitted_plan(planned, STRATEGIES["random"], room).batch_sizes_B.max())
    assert sizes == {"six": 6, "five": 5}


# -------------------------------------------------------------------------------------------------- the same results


@pytest.mark.parametrize("strategy", ["unpadded", "random", "bucket"])
def test_embeddings_are_those_without_a_bound(strategy, grouped_run, texts, tmp_path):
    run = grouped_run("embedding") / "run"
    source = write_jsonl(tmp_path / "in.jsonl", [{"query": text} for text in long_texts(texts)])
    options = {"precision": "fp32", "strategy": strategy}
    free = predict(run, source, out=tmp_path / "free.parquet", **options)
    bounded = predict(run, source, out=tmp_path / "bounded.parquet", memory=tight_bound(run, texts=1.5), **options)
    found, expected = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("bounded", "free"))
    assert found["source_row"].equals(expected["source_row"])
    assert np.allclose(found["embedding"].to_pylist(), expected["embedding"].to_pylist(), atol=1e-5)
    assert bounded.tokens != free.tokens  # calls were cut


def test_ranks_are_those_without_a_bound(grouped_run, tmp_path):
    for task in ("embedding", "ranking"):
        run, source = grouped_run(task) / "run", write_jsonl(tmp_path / "in.jsonl", ROWS)
        options = {"precision": "fp32", "columns": "query,candidates"}
        predict(run, source, out=tmp_path / f"{task}.jsonl", **options)
        predict(run, source, out=tmp_path / f"{task}-bounded.jsonl", memory=tight_bound(run, texts=1), **options)
        expected, found = (read_jsonl(tmp_path / f"{name}.jsonl") for name in (task, f"{task}-bounded"))
        assert [row["ranks"] for row in found] == [row["ranks"] for row in expected]
        for ours, theirs in zip(found, expected, strict=True):
            assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"drop": "reach", "strategy": "reach"}, {"drop_rate": 0.5}])
def test_classes_are_those_without_a_bound(options, checkpoint_of, texts, tmp_path):
    """TokenDrop drops the same words."""
    folder = checkpoint_of("classification")
    source = write_csv(tmp_path / "in.csv", ["text"], [[text] for text in long_texts(texts)])
    predict(folder, source, out=tmp_path / "free.jsonl", precision="fp32", **options)
    bound = tight_bound(folder, texts=1.5)
    predict(folder, source, out=tmp_path / "bounded.jsonl", precision="fp32", memory=bound, **options)
    found, expected = (read_jsonl(tmp_path / f"{name}.jsonl") for name in ("bounded", "free"))
    assert [row["prediction"] for row in found] == [row["prediction"] for row in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)


def test_a_stopped_run_resumes_with_another_bound(checkpoint_of, csv_file, tmp_path, monkeypatch):
    """Calls are no part of what must be the same; blocks are, and a bound that makes them smaller says so."""
    monkeypatch.setattr("tdbs.inference.predict.BLOCK_ROWS", 20)
    folder, out = checkpoint_of("classification"), tmp_path / "out.jsonl"

    def stop(done, _total):
        if done >= 40:
            raise KeyboardInterrupt

    bound = tight_bound(folder, texts=1)
    with pytest.raises(KeyboardInterrupt):
        predict(folder, csv_file, out=out, precision="fp32", memory=bound, progress=stop)
    monkeypatch.setattr("tdbs.inference.memory._OUTPUTS", 10**9)
    monkeypatch.setattr("tdbs.inference.memory._LEAST_ROWS", 5)
    with pytest.raises(ConfigError) as refused:
        predict(folder, csv_file, out=out, precision="fp32", memory=bound, resume=True)
    assert refused.value.message == f"{out} was started with other settings: block_rows was None, is now 5."
    predict(folder, csv_file, out=out, precision="fp32", resume=True)
    predict(folder, csv_file, out=tmp_path / "whole.jsonl", precision="fp32")
    found, expected = read_jsonl(out), read_jsonl(tmp_path / "whole.jsonl")
    assert [row["prediction"] for row in found] == [row["prediction"] for row in expected]


def test_outputs_of_a_block_take_an_eighth_at_most(tmp_path):
    """Embeddings of many entries: blocks have fewer rows, by halves."""
    folder = save_checkpoint(tmp_path / "model", "classification")
    checkpoint = open_checkpoint(folder, precision="fp32")
    many = replace(checkpoint, task=replace(checkpoint.task, classes=tuple(map(str, range(1000)))))
    rows = [
        rows_of_block(memory, each, at_most=8192) for each in (checkpoint, many) for memory in (None, BIG, BIG // 4)
    ]
    assert rows == [8192, 8192, 8192, 8192, 2048, 512]


# -------------------------------------------------------------------------------------------------- what is refused

BIG = 1 << 32


def test_a_text_that_does_not_fit_alone_is_refused_before_anything_is_written(tmp_path):
    folder = save_checkpoint(tmp_path / "model", "classification")
    source, out = write_csv(tmp_path / "in.csv", ["text"], [["a film"]]), tmp_path / "out.jsonl"
    given = ["predict", str(folder), str(source), "--out", str(out), "--precision", "fp32"]
    found = CliRunner().invoke(app, [*given, "--memory", "100MiB"])
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.splitlines()[-2:] == [
        "Error: Predicting takes 0.66 GiB with one text of 128 tokens in each call of the model, and --memory 100MiB "
        "is less.",
        "Next:  Pass --memory 0.67GiB or more.",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["model", "in.csv"]


def test_a_shorter_text_that_fits_is_the_next_step(checkpoint_of, csv_file, tmp_path):
    folder = checkpoint_of("classification")
    bound = tight_bound(folder, texts=0.5)
    with pytest.raises(ConfigError) as refused:
        predict(folder, csv_file, out=tmp_path / "out.jsonl", precision="fp32", memory=bound)
    length = int(refused.value.next_step.split()[2].rstrip(","))
    assert refused.value.next_step.startswith(f"Pass --max-length {length}, or --memory 0.")
    assert 64 <= length < LENGTH
    result = predict(folder, csv_file, out=tmp_path / "out.jsonl", precision="fp32", memory=bound, max_length=length)
    assert result.rows == 156


def test_a_prepared_split_counts(grouped_run):
    """It stays in memory, so a bound leaves less; it predicts, and its rows are those of the split."""
    place = grouped_run("embedding")
    checkpoint = open_checkpoint(place / "run", precision="fp32")
    opened = prepared_input(str(place / "data/prepared"), checkpoint, "train", rows_at_most=8)
    strategy = inference_strategy(None, checkpoint.task)
    left = [
        room_within(BIG, checkpoint, strategy, block_rows=8, data=data, note=print).calls
        for data in (0, opened.held_bytes)
    ]
    tokens = sum(len(block.encode(checkpoint, None).split.input_ids_T) for block in opened.blocks(None))
    assert left[0] - left[1] == opened.held_bytes >= 4 * tokens > 0


def test_packed_rows_cannot_be_cut(checkpoint_of, csv_file, tmp_path):
    bound = tight_bound(checkpoint_of("classification"), texts=2)
    with pytest.raises(ConfigError) as refused:
        predict(checkpoint_of("classification"), csv_file, precision="fp32", memory=bound, strategy="packed")
    assert refused.value.message.endswith(f"GiB, --memory {bound} is less, and calls of packed rows cannot be cut.")
    assert refused.value.next_step == "Pass --strategy unpadded, a smaller --batch-size, or a larger --memory."


def test_a_model_that_was_not_counted_has_a_note(checkpoint_of, csv_file, tmp_path):
    notes = []
    predict(checkpoint_of("seq2seq"), csv_file, out=tmp_path / "out.jsonl", memory="2GiB", note=notes.append)
    assert notes == [
        f"--memory 2GiB has no effect: how much predicting takes is not known for "
        f"{'/'.join(checkpoint_of('seq2seq').parts[-2:])} (t5)."
    ]


# --------------------------------------------------------------------------------------------------- what is measured

OVER = 2.0  # a prediction may be this many times what is measured: freed pieces stay, in one run more than in another
SCRIPT = """
import json, sys
from pathlib import Path
import tdbs
asked = json.loads(sys.argv[1])
tdbs.predict(asked.pop("model"), asked.pop("source"), **asked)
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) << 10)
"""


def peak_of(**asked: object) -> int:
    """Return the most resident bytes of a process that predicts: VmHWM, since its parent's ru_maxrss is inherited."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(asked, default=str)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


@pytest.mark.slow  # memory is that of freed pieces, too: a busy machine has more of them
def test_what_is_measured_is_within_the_bound_and_near_the_prediction(tmp_path, monkeypatch):
    """Attention of many heads: without a bound most memory is for pairs of tokens."""
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 16, "intermediate_size": 512}
    monkeypatch.setattr("tests.inference.models.SMALL", sizes)
    folder = save_checkpoint(tmp_path / "model", "classification")
    source = write_csv(tmp_path / "in.csv", ["text"], [["a film of great charm and " * 21]] * 256)
    options = {"model": folder, "source": source, "precision": "fp32", "attention": "eager", "strategy": "random"}
    free = peak_of(out=tmp_path / "free.jsonl", batch_size=128, **options)
    bound = tight_bound(folder, texts=6)
    bounded = peak_of(out=tmp_path / "bounded.jsonl", batch_size=128, memory=bound, **options)
    predicted = tight_bound(folder, texts=128)  # as many as a batch of --batch-size has
    assert bounded <= bound < free <= predicted <= free * OVER
    assert bound <= bounded * OVER
