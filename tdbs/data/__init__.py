"""Where text comes from: tasks, sources, files, labels, the built-in sample corpus."""
