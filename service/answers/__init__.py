"""Answers about a film in the schemas of the HTTP interface."""
