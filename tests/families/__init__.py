"""Every family of models that people fine-tune, small and with random weights: tdbs beside transformers."""
