"""What the networks are, and how a film becomes their input."""
