"""Compiled layers compute what they compute uncompiled, and many shapes need few compilations."""

import shutil

import pytest
from torch._dynamo.utils import counters

from tdbs.errors import ConfigError
from tdbs.train.device import check_compiler
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.trainer import train
from tests.train.test_resume import log_of
from tests.train.test_trainer import make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("compiled"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of torch.compile itself
@pytest.mark.parametrize("strategy", ["reach", "unpadded"])
def test_a_compiled_run_has_the_losses_of_a_plain_one(dataset, tmp_path, strategy):
    of_eight = resolve_strategy(strategy, dataset.manifest.task, {"base_batch_size": 8})
    options = {"model": "tiny", "epochs": 1, "seed": 1, "precision": "fp32", "dropout": 0.0, "strategy": of_eight}
    plain = train(dataset, out=tmp_path / "plain", **options)
    counters.clear()
    compiled = train(dataset, out=tmp_path / "compiled", compiled=True, **options)
    losses = [[step["loss"] for step in log_of(tmp_path / name)] for name in ("plain", "compiled")]
    assert counters["stats"]["unique_graphs"] <= 6
    assert len({(step["batch_size"], step["padded_length"]) for step in log_of(tmp_path / "plain")}) > 6
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert compiled.score == pytest.approx(plain.score, abs=0.02)
    assert (tmp_path / "compiled/model/model.safetensors").stat().st_size == (
        tmp_path / "plain/model/model.safetensors"
    ).stat().st_size


def test_a_cpu_without_a_compiler_is_refused(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        check_compiler("cpu")
    assert caught.value.message == "--compile needs a C++ compiler, and none was found."
    assert caught.value.next_step == "Install g++, or leave --compile out."
    check_compiler("cuda")
    with pytest.raises(ConfigError):
        train(dataset, out=tmp_path / "run", model="tiny", compiled=True)
    assert not (tmp_path / "run").exists()
