"""Which samples share an update, what is dropped, at what rate: known before training, without torch."""
