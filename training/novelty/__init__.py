"""Measure the novelty: whether it tells films of origins that the training never saw."""
