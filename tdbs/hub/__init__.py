"""Datasets and models for the hub: which files travel, what their cards say, and how they get there."""
