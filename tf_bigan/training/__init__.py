"""A run: its devices, its directory, its checkpoints, its steps."""
