"""Measure, trace and log requests."""
