"""Train a small model with a Trainer in each of several processes: run by torchrun from test_prepare_trainer.py.

torchrun --nproc_per_node N -m tests.integrations.trainer_run DATA OUT untouched|prepared
"""

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

from tdbs.integrations.transformers import prepare_trainer
from tests.integrations.trainers import trainer_of

if __name__ == "__main__":
    data, out, which = sys.argv[1:]
    trainer = trainer_of(json.loads(Path(data).read_text()), out, gradient_accumulation_steps=2)
    if which == "prepared":
        prepare_trainer(trainer)
    trainer.train()
    evaluated = trainer.evaluate()
    if trainer.is_world_process_zero():
        save_file(dict(trainer.model.named_parameters()), f"{out}.safetensors")
        Path(f"{out}.json").write_text(json.dumps(evaluated["eval_loss"]))
