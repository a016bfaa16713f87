"""The HTTP service, its viewer, and the commands that answer films."""
