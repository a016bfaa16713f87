"""Prove that a network's hand-written gradients are right, and report the proof."""
