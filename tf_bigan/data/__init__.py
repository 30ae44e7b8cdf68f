"""Opens data sets by name, and turns them into batches."""

from tf_bigan.data.arrays import ArraySource
from tf_bigan.data.base import Data
from tf_bigan.data.images import ImageData
from tf_bigan.data.opening import open_data, open_images
from tf_bigan.data.points import PointData
from tf_bigan.data.sources import default_query_split

__all__ = ["ArraySource", "Data", "ImageData", "PointData", "default_query_split", "open_data", "open_images"]
