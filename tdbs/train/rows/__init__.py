"""Several samples in one row: where they stand, and attention and models that keep them apart."""
