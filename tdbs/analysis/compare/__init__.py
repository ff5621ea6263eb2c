"""Compare strategies on one dataset, on equal terms."""
