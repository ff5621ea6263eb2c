"""Search hyperparameters on one prepared dataset."""
