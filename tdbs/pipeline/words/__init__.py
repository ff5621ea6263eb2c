"""Words that may be dropped: lists, their places in a text, and their tokens."""
