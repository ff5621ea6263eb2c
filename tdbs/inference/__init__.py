"""Texts become predictions: a trained model, batches without padding, rows in the order of the input."""
