"""Models and their queues: from a film to a model's answer, off the event loop."""
