"""Score an archive of films into a Parquet file, on many processes: `cxr batch`."""
