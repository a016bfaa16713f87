"""Prepare a collection for training: hashes, copies, groups and splits, then a manifest."""
