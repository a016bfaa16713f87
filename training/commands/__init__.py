"""The command line of training: one file per verb of `cxr`."""
