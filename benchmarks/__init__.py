"""Measurements: each script prints its figure; results are kept in results/."""
