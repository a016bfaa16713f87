"""Measure how good models are on films of a manifest."""
