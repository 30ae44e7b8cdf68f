"""How good an encoder is: its features, its inverse, its samples."""
