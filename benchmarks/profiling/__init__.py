"""Where the time of a step goes, part by part of the detector."""
