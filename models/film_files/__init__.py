"""Decode PNG, JPEG, TIFF and DICOM files to grey pixels, bounded against crafted files."""
