"""Makes one static page of a zoo: pictures, numbers beside baselines, sizes, terms, and how to load each model.

python tools/gallery.py --output=/tmp/gallery
python tools/gallery.py --zoo=/srv/zoo

The second command writes the page into the folder of a zoo of your own, with the index by which the zoo can be served:
TF_BIGAN_ZOO=http://HOST/zoo then finds its models.
"""

import common
from absl import flags

_ZOO = flags.DEFINE_string("zoo", None, "the zoo's folder; default: this project's")
_OUTPUT = flags.DEFINE_string("output", None, "the folder of the page; default: --zoo; required without it")


def main():
    """Writes the page, and prints its path."""
    from tf_bigan import zoo

    if _ZOO.value:
        zoo.write_index_of(_ZOO.value)
    else:
        common.require(_OUTPUT)
    print(zoo.write_gallery(_ZOO.value, _OUTPUT.value))


if __name__ == "__main__":
    common.run(main, __doc__)
