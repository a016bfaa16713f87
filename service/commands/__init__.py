"""The command line of the service: one file per verb of `cxr`."""
