"""The documentation; `docs.generate` writes the parts of it that come from the code."""
