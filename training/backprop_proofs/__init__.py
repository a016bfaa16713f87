"""Prove that the gradients by hand are right, and report it."""
