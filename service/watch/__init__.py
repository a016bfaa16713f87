"""Receive films over DICOM and answer them with DICOM objects: `cxr watch`."""
