"""The names that splits have, as people and the hub call them."""

from collections.abc import Mapping

SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {  # the first one is ours
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
