"""Shortcuts that a model may have learnt, a verdict per row."""
