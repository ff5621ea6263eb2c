"""Labels become targets: what users' files mean by them, and what a model is to predict."""
