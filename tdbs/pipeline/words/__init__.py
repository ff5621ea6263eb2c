"""Words that may be dropped: lists, where they stand in a text, and which tokens they are."""
