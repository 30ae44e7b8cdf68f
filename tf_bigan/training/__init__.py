"""Training runs: devices, the run directory, checkpoints, callbacks and the training itself."""
