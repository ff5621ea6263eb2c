"""Scores of single samples after a run: from its epochs, or from its trained model; and which labels they suspect."""
