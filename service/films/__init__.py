"""Take in the bytes of a film: admission, upload, zip files, masks, decoding."""
