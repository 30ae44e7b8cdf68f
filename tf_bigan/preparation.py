"""How examples are prepared between their file and a network, described once for all code that does it."""

import dataclasses
import json

from tf_bigan.errors import InputError, did_you_mean, whole_number
from tf_bigan.reading import parsed

ATTRIBUTES_FROM = ("data", "label")
LARGEST = 2**20  # of a size
MAX_PIXELS = 1024**3 // 4 // 3  # above which Pillow warns of an image: 89,478,485


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How examples are prepared for a network: images or points.

    An image is decoded and brought to `channels`. A photo of a folder is then turned as its EXIF orientation says.
    Transparent pixels are laid over white. Lanczos' filter resizes the shorter edge to `shorter_edge`, and the centre
    is cropped to a square of `image_size`. Values are then scaled to [0, 1]. Training may crop another part and mirror
    the image; everything else is the same in training, evaluation, feature extraction and exported modules. Points stay
    as they are.

    Attributes:
      image_size: edge of the crops in pixels; 0 = as stored.
      channels: 1 or 3; 0 = as stored.
      shorter_edge: in pixels, at least `image_size`; 0 = `image_size`.
      dimensions: number of coordinates of points; 0 = as stored, or the examples are images.
      attributes_from: "data" = an example's attributes are those that the data has; "label" = they are the one-hot
        vector of its label.
      max_pixels: an image file of a folder that has more pixels cannot be used.

    Raises:
      InputError: shorter_edge is below image_size, dimensions come with an attribute of images, or a value is none of
        those above.
    """

    image_size: int = 0
    channels: int = 0
    shorter_edge: int = 0
    dimensions: int = 0
    attributes_from: str = "data"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        for name in ("image_size", "channels", "shorter_edge", "dimensions"):
            object.__setattr__(self, name, whole_number(getattr(self, name), name, 0, LARGEST))
        object.__setattr__(self, "max_pixels", whole_number(self.max_pixels, "max_pixels", 1))
        if self.attributes_from not in ATTRIBUTES_FROM:
            raise InputError(
                f"unknown attributes_from {self.attributes_from!r}."
                f"{did_you_mean(str(self.attributes_from), ATTRIBUTES_FROM)}"
            )
        if 0 < self.shorter_edge < self.image_size:
            raise InputError(f"shorter_edge {self.shorter_edge} is less than the crops' {self.image_size} pixels")
        if self.dimensions and (self.image_size or self.channels or self.shorter_edge):
            raise InputError("dimensions are of points, all other values are of images; data cannot be both")

    @classmethod
    def of(cls, like) -> "Preparation":
        """The preparation of the model `like`, or `like` itself if it is a `Preparation`.

        Raises:
          InputError: `like` is neither, or a model of images that are not square.
        """
        found = like if isinstance(like, cls) else getattr(like, "preparation", None)
        if not isinstance(found, cls):
            raise InputError(
                f"like must be a Preparation, or a model of points or of square images, found {type(like).__name__}"
            )
        return found

    @classmethod
    def from_json(cls, text) -> "Preparation":
        """The inverse of `to_json`. Raises InputError for anything else."""
        try:
            return cls(**parsed(text))
        except (ValueError, TypeError):
            raise InputError(f"this is no preparation of examples: {text!r}") from None

    def to_json(self) -> str:
        """This preparation as text, which exported modules contain. Later fields are left out if they have defaults."""
        told = dataclasses.asdict(self)
        for name in ("attributes_from", "max_pixels"):
            if told[name] == getattr(Preparation, name):
                del told[name]
        return json.dumps(told)

    @property
    def domain(self) -> str:
        """The domain of the examples: "images" or "points"; empty if no attribute is set."""
        if self.dimensions:
            return "points"
        return "images" if self.image_size or self.channels or self.shorter_edge else ""

    def __str__(self):
        if self.dimensions:
            return f"{self.dimensions} coordinates"
        if not self.image_size:
            return "the stored size"
        resized = f" of a shorter edge of {self.shorter_edge}" if self.shorter_edge > self.image_size else ""
        return f"{self.image_size} pixels{resized}"
