"""ALI (Dumoulin et al.: Adversarially learned inference, ICLR 2017)."""

from tf_bigan.games import objectives
from tf_bigan.games.bigan import BiGAN


class ALI(BiGAN):
    """BiGAN's game with ALI's stochastic encoder.

    D takes real and generated pairs in one call, so that its batch norms have joint statistics. The losses are sums
    over the two kinds of pairs rather than means (section 2 and algorithm 1). If the networks' batch norms keep running
    averages of their statistics, inference uses these, as in the authors' code.

    Networks and arguments as for `BiGAN`; the posterior is Gaussian for images and implicit for the 2-D mixture. A
    generator with a `set_mean` method starts from the log-odds of the mean image (as in the authors' code).
    """

    objective = objectives.SUMMED
    joint_statistics = True
    two_sizes = False

    def prepare(self, examples):
        if hasattr(self.generator, "set_mean"):
            self.generator.set_mean(examples)
