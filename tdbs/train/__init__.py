"""Shards become updates: caps, strategies, plan, TokenDrop, batches, training."""
