"""Figures with their intervals: metrics, bootstrap, DeLong, calibration."""
