"""A run's model, loaded to look at: what it says of batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from tdbs.pipeline.manifest import Manifest
from tdbs.train.batches import Batch
from tdbs.train.evaluate import batch_outputs, evaluate_split, load_trained
from tdbs.train.plan import EpochPlan
from tdbs.train.run_folder import Run, read_run
from tdbs.train.scoring import HeldOut, Metrics
from tdbs.train.step import takes_segment_ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The model of a finished run."""

    run: Run
    model: Any
    accelerator: Accelerator
    pad_id: int

    def metrics(self, held_out: HeldOut, plan: EpochPlan | None = None) -> Metrics:
        """Score a split, in the batches of a plan, else from short to long."""
        segment_ids = takes_segment_ids(self.model)
        return evaluate_split(
            self.accelerator, self.model, held_out, pad_id=self.pad_id, segment_ids=segment_ids, plan=plan
        )

    def outputs(self, held_out: HeldOut, batch: Batch) -> torch.Tensor:
        """Return what the model says of a batch; `inference` has to be on."""
        segment_ids = takes_segment_ids(self.model)
        return batch_outputs(self.accelerator, self.model, batch, held_out, segment_ids=segment_ids)

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Hold the model ready: no dropout, no gradients, the run's precision."""
        self.model.eval()
        with torch.inference_mode(), self.accelerator.autocast():
            yield


def open_trained(folder: Path, manifest: Manifest) -> Trained:
    """Load the model of a finished run. Raises a TdbsError where there is none, or it does not fit the dataset."""
    run = read_run(folder)
    model, accelerator = load_trained(run, manifest)
    return Trained(run=run, model=model, accelerator=accelerator, pad_id=manifest.tokenizer.pad_id)
