"""What this project measures of itself; nothing of the package imports it."""
