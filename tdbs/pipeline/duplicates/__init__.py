"""Which samples are the same, and which are nearly: array code over token ids and words."""
