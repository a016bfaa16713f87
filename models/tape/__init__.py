"""Run a whole network forward, and back over the steps that its layers left on a tape."""
