"""The figures of an evaluation as one HTML page."""
