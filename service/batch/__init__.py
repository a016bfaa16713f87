"""Score an archive of films into a Parquet file, in many processes: `cxr batch`."""
