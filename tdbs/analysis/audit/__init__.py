"""What is wrong with a prepared dataset: duplicates, leaks, cuts, skew, and texts that do not fit."""
