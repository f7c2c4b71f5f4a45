"""bytes → batches: a container's output as the Engine sends it becomes records, each once, in order."""
