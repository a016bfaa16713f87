"""Take in the bytes of a film: uploads, zip files, masks, decoding."""
