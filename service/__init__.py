"""Who may ask, and how: the HTTP service and its viewer."""
