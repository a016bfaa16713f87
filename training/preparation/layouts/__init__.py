"""Readers of the layouts in which collections are published, one module each."""
