"""What the tests of integrations share."""

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from tests.cli.conftest import run_command
from tests.integrations.trainers import LONGEST


@pytest.fixture(scope="session")
def mrpc(shared, tmp_path_factory):
    """The real MRPC, its first 400 pairs."""
    folder = tmp_path_factory.mktemp("mrpc")
    for split, rows in (("train", 400), ("validation", 60)):
        place = folder / f"mirror/glue/mrpc/{split}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(shared / f"datasets/glue/mrpc/{split}.parquet").slice(0, rows), place)
    tokenizer = shared / "tokenizers/bert-base-uncased"
    run_command("prepare", "glue/mrpc", "--mirror", folder / "mirror", "--tokenizer", tokenizer, "--out", folder / "d")
    return folder / "d"


@pytest.fixture(scope="session")
def pairs(shared):
    """MRPC's first pairs, tokenized in memory; one label a pair, and one a token."""
    tokenizer = Tokenizer.from_file(str(shared / "tokenizers/bert-base-uncased/tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    table = pq.read_table(shared / "datasets/glue/mrpc/train.parquet").slice(0, 80).to_pylist()
    encoded = tokenizer.encode_batch([(row["sentence1"], row["sentence2"]) for row in table])
    return [
        {
            "input_ids": [token % 50 for token in each.ids],  # of the small models' vocabulary
            "token_type_ids": each.type_ids,
            "attention_mask": each.attention_mask,
            "label": row["label"],
            "index": number,
        }
        for number, (each, row) in enumerate(zip(encoded, table, strict=True))
    ]
