"""Look for shortcuts that a model may have learnt, with a verdict per row."""
