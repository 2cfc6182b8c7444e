"""What this project does of the works that are compared."""
