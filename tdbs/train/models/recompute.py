"""Store less for the backward pass: layers compute their activations a second time there (gradient checkpointing).

Between forward and backward a layer keeps its input alone, so memory grows by one hidden state per layer, at the price
of a second forward pass. Dropout draws the same masks again, so gradients and weights are those of a plain run.
"""

from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from tdbs.errors import ModelError
from tdbs.train.dropout_masks import masks_in_both_passes


def recompute_activations(model: PreTrainedModel, name: str) -> None:
    """Let every layer of a model but the last compute its activations again in the backward pass.

    The backward pass begins with the last layer, which would compute at once what it has just dropped. A hook of
    rows/heads.py cuts its end in the forward pass alone. Raises ModelError for a model that cannot do so.
    """
    layers = _layers_of(model)
    if not model.supports_gradient_checkpointing or not layers:
        raise ModelError(
            f"--checkpoint-activations cannot be used with {name}: transformers does not recompute layers of type "
            f"{model.config.model_type}.",
            next_step="Leave --checkpoint-activations out, or pass another --model.",
        )
    # the older name of transformers before it was renamed; where both are, the older one warns
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable(
        {
            "use_reentrant": False,
            "preserve_rng_state": True,
            "context_fn": masks_in_both_passes,
        }
    )
    # it also makes the embeddings' output ask for gradients, which adapters need with reentrant checkpoints alone; with
    # frozen layers those would store and compute what nobody reads
    model.disable_input_require_grads()
    store_last_layer(model)


def store_last_layer(model: PreTrainedModel) -> None:
    """Let the last layer keep its activations, if others compute theirs again."""
    for last in _layers_of(model)[-1:]:
        last.gradient_checkpointing = False


def _layers_of(model: PreTrainedModel) -> list[GradientCheckpointingLayer]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
