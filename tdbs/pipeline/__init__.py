"""Text becomes bucket shards: tokenize, find droppable spans, measure lengths, write, once."""
