"""The measures, a file each or, where several train classifiers alike, a file for those."""
