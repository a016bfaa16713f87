"""The networks with their hand-written gradients and their weights, and the reading of films."""
