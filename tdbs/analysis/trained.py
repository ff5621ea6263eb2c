"""A run's model, loaded to look at: what it says of batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.batches import Batch
from tdbs.train.evaluate import batch_outputs, evaluate_split, load_trained
from tdbs.train.model_inputs import InputRules
from tdbs.train.plan import EpochPlan
from tdbs.train.run_folder import Run, read_run
from tdbs.train.scoring import HeldOut, Metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The model of a finished run."""

    run: Run
    model: Any
    accelerator: Accelerator
    pad_id: int
    rules: InputRules

    def metrics(self, held_out: HeldOut, plan: EpochPlan | None = None) -> Metrics:
        """Score a split, in the batches of a plan, else from short to long."""
        return evaluate_split(self.accelerator, self.model, held_out, pad_id=self.pad_id, rules=self.rules, plan=plan)

    def outputs(self, held_out: HeldOut, batch: Batch) -> torch.Tensor:
        """Return what the model says of a batch; `inference` has to be on."""
        return batch_outputs(self.accelerator, self.model, batch, held_out, self.rules)

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Hold the model ready: no dropout, no gradients, the run's precision."""
        self.model.eval()
        with torch.inference_mode(), self.accelerator.autocast():
            yield


def open_trained(folder: Path, dataset: PreparedDataset) -> Trained:
    """Load the model of a finished run. Raises a TdbsError where there is none, or it does not fit the dataset."""
    run = read_run(folder)
    model, accelerator, rules = load_trained(run, dataset)
    return Trained(run=run, model=model, accelerator=accelerator, pad_id=dataset.manifest.tokenizer.pad_id, rules=rules)
