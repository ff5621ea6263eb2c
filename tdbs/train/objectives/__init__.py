"""What embedding and ranking tasks learn from the sequences of their samples."""
