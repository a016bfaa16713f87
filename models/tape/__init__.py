"""Compute the gradients of a whole network by hand, on a tape of its layers' forward passes."""
