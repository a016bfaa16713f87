"""Prepare data, train networks, evaluate and export them."""
