"""What happens to an example between its file and a network, described once for every way that leads there."""

import dataclasses
import json

from tf_bigan.domains import whole_number
from tf_bigan.errors import InputError


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How examples are prepared for a network: images or points.

    An image is decoded and brought to `channels`. Lanczos' filter resizes its shorter edge to `shorter_edge`, and the
    centre is cropped to a square of `image_size`. Its values are then scaled to [0, 1]. Training may crop elsewhere and
    mirror; everything else is the same in training, evaluation, feature extraction and exported modules. Points stay as
    they are.

    Attributes:
      image_size: edge of the crops in pixels; 0 = as stored.
      channels: 1 or 3; 0 = as stored.
      shorter_edge: in pixels, at least `image_size`; 0 = `image_size`.
      dimensions: of points; 0 = as stored, or images.

    Raises:
      InputError: a shorter edge below image_size, dimensions beside what is of images, or anything but whole numbers
        from 0.
    """

    image_size: int = 0
    channels: int = 0
    shorter_edge: int = 0
    dimensions: int = 0

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            object.__setattr__(self, name, whole_number(value, name, 0))
        if 0 < self.shorter_edge < self.image_size:
            raise InputError(f"shorter_edge {self.shorter_edge} is less than the crops' {self.image_size} pixels")
        if self.dimensions and (self.image_size or self.channels or self.shorter_edge):
            raise InputError("dimensions are of points, all else is of images; data cannot be both")

    @classmethod
    def of(cls, like) -> "Preparation":
        """The preparation of a model, or `like` itself if it is one.

        Raises:
          InputError: it is neither, or a model of images that are not square.
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
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise InputError(f"this is no preparation of examples: {text!r}") from None

    def to_json(self) -> str:
        """As text, which an exported module carries."""
        return json.dumps(dataclasses.asdict(self))

    @property
    def domain(self) -> str:
        """Of what domain the examples are: "images" or "points"; empty if nothing says so."""
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
