"""Which parts of the detector are worth their price, on data small enough for a laptop."""
