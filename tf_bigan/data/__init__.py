"""What a data set is called, and how it becomes batches."""

from tf_bigan.data.images import ImageData, open_images
from tf_bigan.data.sources import default_query_split

__all__ = ["ImageData", "default_query_split", "open_images"]
