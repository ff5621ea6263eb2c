"""Prepared datasets in other people's training loops."""
