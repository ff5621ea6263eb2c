"""Numbers about datasets and plans: padding, speedup, the machine."""
