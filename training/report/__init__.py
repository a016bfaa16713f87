"""Render the figures of an evaluation as one HTML page."""
