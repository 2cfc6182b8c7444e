"""How long things take, here and in other systems, side by side in one run."""
