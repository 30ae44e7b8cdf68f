"""The lines of warning of the collapse watch: which numbers give rise to them, and when they are given again."""

import math

# A mean distance of a tenth of the data's is a hundredth of its variance: an image and small changes of it.
COLLAPSED_DISTANCE = 0.1
# Most samples have a twin, whereas hardly any example has one: G has few kinds of samples.
COLLAPSED_DUPLICATES = 0.5
# D is certain of all but one pair in twenty. A D without error gives its opponents no direction to improve in
# (Arjovsky and Bottou 2017, Towards principled methods for training generative adversarial networks, theorem 2.4).
SATURATED = 0.95
# The codes of different examples differ by a tenth of the prior's standard deviation or less.
INDEPENDENT = 0.01
# Nine tenths of the way from two equal dimensions to one: 98 % of the variance lies along one line.
ONE_DIMENSION = 1.1

# The kinds of warnings of `warnings_of`, and the numbers that they depend on.
_CAUSES = {
    "samples": ("sample_distance", "near_duplicates"),
    "discriminator": ("real_saturation", "generated_saturation"),
    "encoder": ("code_dependence", "effective_rank"),
}


def warnings_of(numbers, latent_dim) -> dict[str, str]:
    """The warnings that the numbers give rise to: {kind: line}; the thresholds stand above, with their reasons.

    Args:
      numbers: {name: number}; names that are missing, None and NaN give no warning.
      latent_dim: the prior's dimensions. With one, codes lie on a line.
    """

    def of(name):
        value = numbers.get(name)
        return math.nan if value is None else value

    lines = {}
    if of("sample_distance") < COLLAPSED_DISTANCE or of("near_duplicates") > COLLAPSED_DUPLICATES:
        lines["samples"] = (
            "the samples collapse, or have not spread yet: their mean distance is "
            f"{of('sample_distance'):.2g} times that of examples, and {of('near_duplicates'):.0%} have a near-duplicate"
        )
    if min(of("real_saturation"), of("generated_saturation")) >= SATURATED:
        lines["discriminator"] = (
            f"the discriminator saturates: it is certain, and right, about {of('real_saturation'):.0%} of real and "
            f"{of('generated_saturation'):.0%} of generated pairs"
        )
    if of("code_dependence") < INDEPENDENT:
        lines["encoder"] = (
            f"the encoder ignores its examples: their codes have {of('code_dependence'):.2g} times the variance of the "
            "prior"
        )
    elif latent_dim > 1 and of("effective_rank") < ONE_DIMENSION:
        lines["encoder"] = (
            f"the encoder ignores most of its examples: the codes' effective rank is {of('effective_rank'):.2f} of "
            f"{latent_dim}, so they lie on a line"
        )
    return lines


class Told:
    """Which kinds of warnings have been told. A kind is told when it first occurs, and again once it had passed.

    It passes with a look whose numbers were all measured and give no such warning. That something failed or was not
    finite is told once.
    """

    def __init__(self):
        self._kinds = set()

    def news(self, numbers, lines) -> dict[str, str]:
        """Takes note of a look, and returns those of its warnings that were not told before.

        Args:
          numbers: {name: number, or None if it was not measured}.
          lines: {kind: line}.
        """
        found = {kind: line for kind, line in lines.items() if kind not in self._kinds}
        measured = {kind for kind, names in _CAUSES.items() if all(numbers.get(name) is not None for name in names)}
        self._kinds = (self._kinds | lines.keys()) - (measured - lines.keys())
        return found
