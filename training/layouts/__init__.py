"""Whose films: one module per layout in which collections of chest radiographs are published."""
