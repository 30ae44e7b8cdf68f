"""What a data set is called, and how it becomes batches."""

from tf_bigan.data.images import ImageData, open_images
from tf_bigan.data.sources import default_query_split, located

__all__ = ["ImageData", "default_query_split", "located", "open_images"]
