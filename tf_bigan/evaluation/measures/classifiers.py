"""Accuracy of classifiers that start from an encoder's convolutions (Donahue et al. 2017, section 4.3, Tables 2 and 3).

Each classifier is a separate `Part`, as its training can take hours.
"""

import abc
import dataclasses

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.measure import Measure, Part
from tf_bigan.evaluation.report import describe_setting, setting, spread, values
from tf_bigan.evaluation.settings import VOCSettings


class ClassifierMeasure(Measure):
    """A measure that trains classifiers from the convolutions of the trained and of the untrained encoders."""

    title: str
    columns = {"accuracy": "1 crop", "accuracy_10_crop": "10 crops"}  # key in a row -> heading of its column
    needs = frozenset({"gallery", "queries", "labels"})
    slow = True

    @abc.abstractmethod
    def layers(self, settings) -> list[str]:
        """The layers for each of which a classifier is trained, given `EvaluationSettings`."""

    @abc.abstractmethod
    def settings(self, settings):
        """The `TransferSettings` of the classifiers, given `EvaluationSettings`."""

    @abc.abstractmethod
    def classify(self, network, layer, context) -> dict:
        """Trains and measures one classifier; returns the values of `columns` in percent."""

    def data(self, context):
        return context.transfer_data

    def check(self, context):
        from tf_bigan.evaluation.transfer import check_transferable  # imports TensorFlow

        check_transferable(context.model.feature_network)

    def check_data(self, context):
        super().check_data(context)
        if context.settings.untrained:
            context.data.gallery.check()  # untrained encoders take their inference statistics from it

    def parts(self, context):
        def part(encoder, layer):
            key = {"encoder": encoder.kind, "seed": encoder.seed, "layer": layer, "edge": edge, "settings": settings}
            return Part(
                f"{self.name} of {encoder.kind} ({encoder.seed}), {layer}",
                lambda: [self.classify(encoder.game().feature_network, layer, context)],
                key,
            )

        edge = self.data(context).gallery.image_shape[0]
        settings = dataclasses.asdict(self.settings(context.settings))
        return [part(encoder, layer) for encoder in context.encoders for layer in self.layers(context.settings)]

    def lines(self, found, report):
        settings = [setting(row) for row in found]
        for made in [made for i, made in enumerate(settings) if made not in settings[:i]]:
            yield f"{self.title} (classifiers: {describe_setting(made)})"
            yield " " * 34 + "".join(f"{head:>16}" for head in self.columns.values())
            for encoder, layer in dict.fromkeys((r["encoder"], r["layer"]) for r in found if setting(r) == made):
                seeds = [values(report, self.name, encoder, layer, column, **made) for column in self.columns]
                yield f"  {f'{encoder} {layer}':32}" + "".join(f"{spread(each):>16}" for each in seeds)


class FrozenPrefix(ClassifierMeasure):
    """Table 2: convolutions up to a layer are copied and frozen, the rest is trained."""

    name = "frozen_prefix"
    title = "frozen prefix, top-1 accuracy, %"
    protocol = (
        "AlexNet with conv1 up to the layer copied, batch norms folded in, and frozen; the rest is new and learns from "
        "random mirrored crops of the gallery; top-1 of the queries"
    )

    def check(self, context):
        from tf_bigan.networks.alexnet import CONVOLUTIONS  # imports TensorFlow

        for layer in self.layers(context.settings):
            if layer not in CONVOLUTIONS:
                raise InputError(f"unknown layer {layer!r} for transfer.{did_you_mean(layer, CONVOLUTIONS)}")
        super().check(context)

    def layers(self, settings):
        from tf_bigan.networks.alexnet import CONVOLUTIONS

        return settings.layers_or(CONVOLUTIONS)

    def settings(self, settings):
        return settings.transfer

    def classify(self, network, layer, context):
        from tf_bigan.evaluation import transfer

        data = self.data(context)
        settings = self.settings(context.settings)
        return transfer.frozen_prefix(network, data.gallery, data.queries, layer, settings, say=context.say)


class FineTuning(ClassifierMeasure):
    """All convolutions are copied, and all layers are trained."""

    name = "fine_tuning"
    title = "fine-tuning, top-1 accuracy, %"
    protocol = "as frozen_prefix, with conv1 ... conv5 copied and everything learning"

    def layers(self, settings):
        return ["conv5"]

    def settings(self, settings):
        return settings.transfer

    def classify(self, network, layer, context):
        from tf_bigan.evaluation import transfer

        data = self.data(context)
        settings = self.settings(context.settings)
        return transfer.fine_tune(network, data.gallery, data.queries, settings, say=context.say)


class VOC2007(ClassifierMeasure):
    """Table 3, classification: measured on VOC2007 instead of the gallery and queries."""

    name = "voc2007"
    title = "VOC2007, mean average precision, %"
    columns = {"map": "1 crop", "map_10_crop": "10 crops"}
    protocol = (
        "AlexNet with conv1 ... conv5 copied learns VOC2007 trainval from the layer named on; mean average precision "
        "on test, difficult objects left out"
    )
    needs = frozenset()

    def check(self, context):
        from tf_bigan.evaluation import voc

        super().check(context)
        voc.check_voc(context.model.feature_network, context.settings.data_dir)

    def layers(self, settings):
        from tf_bigan.evaluation.voc import TRAIN_FROM

        return list(TRAIN_FROM)

    def settings(self, settings):
        return settings.voc or VOCSettings(seed=settings.transfer.seed)

    def classify(self, network, layer, context):
        from tf_bigan.evaluation import voc

        edge = self.data(context).gallery.image_shape[0]
        settings, data_dir = self.settings(context.settings), context.settings.data_dir
        return voc.voc_classification(network, edge, layer, settings, data_dir=data_dir, say=context.say)
