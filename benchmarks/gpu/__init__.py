"""Correctness, speed and a short training on a machine with a GPU, in minutes."""
