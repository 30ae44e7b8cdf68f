"""ALI (Dumoulin et al.: Adversarially learned inference, ICLR 2017)."""

from tf_bigan.games import objectives
from tf_bigan.games.bigan import BiGAN


class ALI(BiGAN):
    """BiGAN's game with a stochastic encoder, as ALI plays it.

    D takes real and generated pairs in one call, so that its batch norms have joint statistics, and the losses are sums
    rather than means of the two kinds (section 2 and algorithm 1). Inference uses running averages of the batch
    statistics, as the authors' code does, where the networks' batch norms keep them.

    Networks and arguments as for `BiGAN`; the posterior is Gaussian for images and implicit for the 2-D mixture. A
    generator that has `set_mean` begins at the log-odds of the mean image (the authors' code).
    """

    objective = objectives.SUMMED
    joint_statistics = True
    two_sizes = False

    def prepare(self, examples):
        if hasattr(self.generator, "set_mean"):
            self.generator.set_mean(examples)
