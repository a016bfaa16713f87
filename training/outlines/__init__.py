"""Lung outlines: which films have one, what is taught of it, and how near a network comes to it."""
