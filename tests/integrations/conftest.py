"""What the tests of integrations share."""

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import run_command


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
