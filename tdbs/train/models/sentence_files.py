"""The files that sentence-transformers reads beside a model: how it pools, or what it makes of a reranker's logits.

They have the names and keys that its versions 2 to 6 read. tdbs reads them too, when such a folder is trained further.
"""

from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from tdbs.data.tasks import Task
from tdbs.files import write_json
from tdbs.train.models.pooling import Pooling
from tdbs.train.models.sentence_settings import MODULES_NAME, SETTINGS_NAME

_TYPES = "sentence_transformers.models."


def write_embedding_files(folder: Path, pooling: Pooling, *, width: int, max_length: int) -> None:
    """Write how a folder's model makes embeddings of `width` entries, of texts of at most `max_length` tokens."""
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), *([("Normalize", "2_Normalize")] * pooling.normalize)]
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": _TYPES + kind}
        for number, (kind, path) in enumerate(modules)
    ]
    modes = {
        "cls_token": pooling.mode == "cls",
        "mean_tokens": pooling.mode == "mean",
        "max_tokens": False,
        "mean_sqrt_len_tokens": False,
        "weightedmean_tokens": False,
        "lasttoken": pooling.mode == "last",
    }
    pools = {
        "word_embedding_dimension": width,
        **{f"pooling_mode_{name}": is_on for name, is_on in modes.items()},
        "include_prompt": True,
    }
    _write(folder / MODULES_NAME, listed)
    _write(folder / "1_Pooling" / "config.json", pools)
    if pooling.normalize:
        (folder / "2_Normalize").mkdir(exist_ok=True)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    similarity = {"model_type": "SentenceTransformer", "prompts": {}, "similarity_fn_name": "cosine"}
    _write(folder / SETTINGS_NAME, {**similarity, "default_prompt_name": None})


def name_activation(config: PretrainedConfig, task: Task) -> None:
    """Say in a configuration what a CrossEncoder makes of the one logit of a pair: itself, or for rerankers a share."""
    if not task.is_pair or task.outputs != 1:
        return
    name = "activation.Sigmoid" if task.kind == "ranking" else "linear.Identity"
    config.sentence_transformers = {"activation_fn": f"torch.nn.modules.{name}"}


def _write(place: Path, content: Any) -> None:
    place.parent.mkdir(exist_ok=True)
    write_json(place, content)
