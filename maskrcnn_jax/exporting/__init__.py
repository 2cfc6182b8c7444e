"""A trained detector as a file that runs with JAX alone: ``docs/export.md``."""
