"""The BiGAN authors' parameter files as networks of this project. Nothing else in the library needs them."""
