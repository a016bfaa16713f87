"""Compute metrics with intervals: AUROC and others, bootstrap, DeLong, calibration."""
