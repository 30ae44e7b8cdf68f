"""Exported modules: how their functions are traced, read and used as layers of Keras 3."""
