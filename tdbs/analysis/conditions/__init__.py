"""Score trained models under conditions: words dropped, texts edited, batches of a strategy."""
