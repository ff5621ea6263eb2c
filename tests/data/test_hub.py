"""A shared task comes from a mirror or from the hub, by the `datasets` library; offline the way out is named."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.file_options import FileOptions
from tdbs.data.hub import hub_tables
from tdbs.data.sources import open_source
from tdbs.data.tasks import HUB_TASKS, HubTask
from tdbs.digests import table_sha256
from tdbs.errors import SourceError
from tests.data.conftest import read_source


def test_without_the_hub_the_error_names_the_mirror():
    """The suite is offline, and the hub's folder is its own (tests/conftest.py)."""
    with pytest.raises(SourceError) as caught:
        open_source("glue/sst2", mirror=None, files=FileOptions())
    assert caught.value.message == (
        "Cannot load glue/sst2 from the hub: Couldn't reach 'nyu-mll/glue' on the Hub (OfflineModeIsEnabled)."
    )
    assert caught.value.next_step == (
        "Without a network, pass --mirror DIR (or set TDBS_MIRROR) with the files DIR/glue/sst2/<split>.parquet."
    )


def test_hub_tables_are_loaded_by_the_datasets_library(tmp_path, monkeypatch):
    """`load_dataset` takes a folder with a hub card as it takes a hub id, so no network is needed."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    table = pa.table({"sentence": ["a", "b"], "label": pa.array([0, 1], pa.int64()), "idx": [0, 1]})
    card = ["---", "configs:", "- config_name: sst2", "  data_files:"]
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
        card += [f"  - split: {split}", f"    path: {split}.parquet"]
    (tmp_path / "README.md").write_text("\n".join([*card, "---", ""]))
    known = HUB_TASKS["glue/sst2"]
    hub = HubTask(hub_id=str(tmp_path), configuration="sst2", splits=known.splits, task=known.task)
    tables = hub_tables(hub)
    assert list(tables) == ["train", "test"]
    assert tables["train"].to_pydict() == table.to_pydict()


def mirror_with(folder, **splits):
    (folder / "glue/sst2").mkdir(parents=True, exist_ok=True)
    for split, columns in splits.items():
        pq.write_table(pa.table(columns), folder / f"glue/sst2/{split}.parquet")
    return folder


GOOD = {"sentence": ["a", "b"], "label": [0, 1]}


def test_a_split_with_only_minus_one_has_no_labels(opened, tmp_path):
    mirror = mirror_with(tmp_path, train=GOOD, test={"sentence": ["a", "b"], "label": [-1, -1]})
    splits = read_source(opened("glue/sst2", mirror=mirror))[1]
    assert list(splits) == ["train", "test"]
    assert splits["test"].targets is None


NEXT_STEP = "Write the file again from the task's own data."


def labelled(*labels):
    return {"sentence": ["a"] * len(labels), "label": list(labels)}


REFUSED = [
    (labelled(0, 2), "Row 2 of glue/sst2/train.parquet has a label outside 0 to 1.", NEXT_STEP),
    (labelled(0, -2), "Row 2 of glue/sst2/train.parquet has a label outside 0 to 1.", NEXT_STEP),
    (labelled(-1, 1), "Row 1 of glue/sst2/train.parquet has no label.", NEXT_STEP),
    (labelled(-1, -1), "glue/sst2/train.parquet has no labels.", "Use a train split with labels."),
    ({"sentence": ["a"], "label": ["x"]}, "'label' of glue/sst2/train.parquet contains string, not class ids.",
     NEXT_STEP),
    ({"text": ["a"], "label": [0]}, "glue/sst2/train.parquet has no column 'sentence'; it has: 'text', 'label'.",
     "Write it with the columns of the task on the hub."),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "message", "next_step"), REFUSED)
def test_a_mirror_file_that_does_not_fit_its_task(opened, tmp_path, columns, message, next_step):
    with pytest.raises(SourceError) as caught:
        read_source(opened("glue/sst2", mirror=mirror_with(tmp_path, train=columns)))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_a_mirror_without_train_names_the_path(opened, tmp_path):
    with pytest.raises(SourceError) as caught:
        opened("glue/sst2", mirror=tmp_path)
    assert caught.value.message.startswith("The mirror has no file ")
    assert caught.value.message.endswith(f"{tmp_path.name}/glue/sst2/train.parquet.")
    assert caught.value.next_step == (
        "Put it there, or pass --mirror (or set TDBS_MIRROR) with the folder that contains glue/sst2."
    )


def test_table_digests_see_values_and_nulls_but_not_chunks():
    whole = pa.table({"text": ["ab", "", None, "c"], "label": [0, 1, None, 2]})
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    digest = table_sha256(whole)
    assert table_sha256(chunked) == digest
    assert table_sha256(whole.set_column(0, "text", pa.array(["a", "b", None, "c"]))) != digest
    assert table_sha256(whole.set_column(0, "text", pa.array(["ab", None, "", "c"]))) != digest
    assert table_sha256(whole.set_column(1, "label", pa.array([0, 1, 0, 2]))) != digest
    assert table_sha256(whole.set_column(0, "text", whole["text"].cast(pa.large_string()))) == digest


ANSWERS = [{"text": ["ab", "c"], "answer_start": [0, 3]}, {"text": ["d"], "answer_start": [1]}, None]


def test_digests_of_nested_columns_see_values_but_not_chunks():
    whole = pa.table({"answers": ANSWERS, "words": [["a", ""], None, []]})
    digest = table_sha256(whole)
    assert table_sha256(pa.concat_tables([whole.slice(0, 2), whole.slice(2)])) == digest
    assert table_sha256(pa.concat_tables([whole.slice(1), whole]).slice(2)) == digest
    changed = [
        {"answers": [*ANSWERS[:1], {"text": ["d"], "answer_start": [2]}, None]},
        {"answers": [{"text": ["a", "bc"], "answer_start": [0, 3]}, *ANSWERS[1:]]},
        {"answers": [*ANSWERS[:2], {"text": [], "answer_start": []}]},
        {"words": [["a"], None, [""]]},
        {"words": [["a", ""], [], None]},
    ]
    digests = [table_sha256(pa.table({name: whole[name] for name in whole.column_names} | part)) for part in changed]
    assert len({digest, *digests}) == 6
