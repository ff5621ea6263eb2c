"""Measure a device for a model."""
