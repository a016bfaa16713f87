"""Turn somebody's films into a manifest: hashes, copies, groups and splits, or a refusal."""
