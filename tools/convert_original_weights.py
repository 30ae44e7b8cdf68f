"""Turns the parameter files of the BiGAN authors' ImageNet runs into a run directory for tf_bigan.load.

  python tools/convert_original_weights.py --encoder=100_encode_params.jl --generator=100_gen_params.jl
      --discriminator=100_joint_discrim_params.jl --output=/tmp/bigan_imagenet_original

Nothing in the files is executed: a file is read as a list of number arrays, or refused.
"""

import common
from absl import flags

_ENCODER = flags.DEFINE_string("encoder", None, "the authors' ..._encode_params.jl, of either run; required")
_GENERATOR = flags.DEFINE_string("generator", None, "the authors' ..._gen_params.jl; required")
_DISCRIMINATOR = flags.DEFINE_string("discriminator", None, "the authors' ..._joint_discrim_params.jl; required")
_OUTPUT = flags.DEFINE_string("output", None, "the folder to write; required")


def main():
    """Converts the files, and loads the result once to check it."""
    paths = [common.require(flag) for flag in (_ENCODER, _GENERATOR, _DISCRIMINATOR)]
    output = common.require(_OUTPUT)
    common.import_tensorflow()
    import tf_bigan
    from tf_bigan.conversion.original_weights import convert_run

    _, experiment = convert_run(*paths, output)
    tf_bigan.load(output)
    print(f"{output}: E takes {experiment.crop_size}x{experiment.crop_size}, G gives 64x64; tf_bigan.load reads it")


if __name__ == "__main__":
    common.run(main, __doc__)
