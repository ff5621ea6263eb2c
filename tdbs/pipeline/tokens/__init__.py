"""Texts become tokens: the tokenizer, its rules, and blocks of tokenized samples."""
