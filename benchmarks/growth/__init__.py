"""How the time and the memory of a training step grow with the work."""
