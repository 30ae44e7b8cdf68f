"""What a data set is called, and how it becomes batches."""

from tf_bigan.data.images import ImageData, open_images

__all__ = ["ImageData", "open_images"]
