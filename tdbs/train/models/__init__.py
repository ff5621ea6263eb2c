"""Models: loading, checking, their inputs, their heads, and the part of them that is trained."""
