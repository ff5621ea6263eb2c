"""The DataModule of Lightning: the losses of a loop of one's own, and a run that goes on from a checkpoint."""

import re

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from tdbs.integrations.lightning import PreparedDataModule
from tdbs.integrations.loops import PreparedSteps
from tests.integrations.test_trainer import ROOT, hub_tokenizer, model_of

pytestmark = [pytest.mark.real_data, pytest.mark.filterwarnings("ignore")]  # its own
RUN = {"seed": 4, "epochs": 2}


class Module(lightning.LightningModule):
    """A model trained by the updates' losses."""

    def __init__(self, model, steps):
        super().__init__()
        self.model, self.steps, self.losses = model, steps, []

    def training_step(self, inputs, _number):
        loss = self.steps.loss(self.model, inputs)
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        factors = self.steps.rate_factors
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factors[min(step, len(factors) - 1)])
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def fitted(mrpc, folder, strategy, **fit):
    """Train a run, or what is left of it; every fifth update has a checkpoint."""
    model = model_of()
    steps = PreparedSteps(mrpc, model=model, strategy=strategy, **RUN)
    module = Module(model, steps)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        callbacks=[ModelCheckpoint(folder, filename="{step}", every_n_train_steps=5, save_top_k=-1)],
        enable_progress_bar=False,
    )
    trainer.fit(module, datamodule=PreparedDataModule(steps), **fit)
    return module.losses


@pytest.mark.parametrize("strategy", ["unpadded", pytest.param("reach", marks=pytest.mark.slow)])
def test_losses_are_those_of_a_loop(mrpc, tmp_path, strategy):
    model = model_of()
    steps = PreparedSteps(mrpc, model=model, strategy=strategy, **RUN)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    expected = []
    for inputs, factor in zip(steps, steps.rate_factors, strict=True):
        optimizer.param_groups[0]["lr"] = 1e-3 * factor
        loss = steps.loss(model, inputs)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        expected.append(float(loss.detach()))
    assert fitted(mrpc, tmp_path, strategy) == pytest.approx(expected, rel=1e-6)


def test_a_run_goes_on_from_a_checkpoint(mrpc, tmp_path):
    whole = fitted(mrpc, tmp_path / "whole", "unpadded")
    checkpoint = tmp_path / "whole/step=5.ckpt"
    trusted = {"ckpt_path": checkpoint, "weights_only": False}  # Lightning's own pickle, which this test wrote
    rest = fitted(mrpc, tmp_path / "rest", "unpadded", **trusted)
    assert rest == pytest.approx(whole[5:], rel=1e-6)


def test_the_script_of_the_page_runs(mrpc, tmp_path, monkeypatch):
    model_of().save_pretrained(tmp_path / "bert")
    hub_tokenizer(mrpc).save_pretrained(tmp_path / "bert")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/loops.md").read_text(encoding="utf-8")
    *_, script = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    local = script.replace("bert-base-uncased", str(tmp_path / "bert")).replace("data/mrpc", str(mrpc))
    names = {}
    exec(compile(local, "loop.py", "exec"), names)  # noqa: S102  (the page's own script)
    assert names["trainer"].global_step == len(names["steps"])
