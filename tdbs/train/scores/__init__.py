"""Scores of predictions, by kind of task."""
