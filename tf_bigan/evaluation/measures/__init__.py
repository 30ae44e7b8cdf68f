"""The measures, each in its own file, except that the measures that train classifiers share `classifiers.py`."""
