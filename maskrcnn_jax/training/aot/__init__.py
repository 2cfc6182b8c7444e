"""Compiling ahead of time for TPU slices, on a machine that has none."""
