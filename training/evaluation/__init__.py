"""Measure how good models are on the films of a manifest."""
