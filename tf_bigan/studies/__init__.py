"""Studies: many runs, what is measured of them, and what follows from the measurements."""
