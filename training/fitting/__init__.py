"""Run a training: from a configuration to a run folder with the best weights."""
