"""Families of models by the `model_type` of their config.json: what planning and training must both know of a model.

Read by both without any library, so that a plan is made for the model that trains.
"""

from collections.abc import Mapping
from typing import Any

# Families whose rows may hold several samples, and whether their positions count from the pad id + 1.
FROM_PAD_ID = {
    "bert": False,
    "electra": False,
    "roberta": True,
    "xlm-roberta": True,
    "camembert": True,
    "modernbert": False,
}


def takes_rows_of_several(config: Mapping[str, Any]) -> bool:
    """Return whether a row of a model may hold several samples, from its configuration as config.json has it.

    A BERT that looks back only (`is_decoder`) does not: masks of rows know no direction.
    """
    return config.get("model_type") in FROM_PAD_ID and not config.get("is_decoder")
