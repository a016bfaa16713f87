"""Take one training step: loss, gradients, optimiser, mixing, and the processes that share it."""
