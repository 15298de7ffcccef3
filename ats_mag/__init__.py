"""Whole-slide histology classification by joint spatial and magnification attention sampling."""

import lazy_loader

from ats_mag import saved_classes  # noqa: F401  has Keras know our classes

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cohort.manifest": ["ManifestError", "read_manifest"],
        "geometry.lattice": ["Lattice"],
        "layers.expectation": ["Expectation"],
        "layers.in_memory": ["attention_sampling"],
        "layers.joint_softmax": ["JointSoftmax"],
        "layers.l2_normalize": ["L2Normalize"],
        "layers.read_slide_patches": ["ReadSlidePatches"],
        "layers.regularize_attention": ["RegularizeAttention"],
        "layers.sample_patches": ["SamplePatches"],
        "model.adaptive.options": ["AdaptiveOptions"],
        "model.adaptive.predict": ["AdaptivePrediction", "predict_adaptively"],
        "model.built_in_networks": ["application_network", "attention_network", "feature_network"],
        "model.classifier": ["SlideClassifier"],
        "model.encoders.adapted_encoder": ["AdaptedEncoder"],
        "model.encoders.adapter": ["adapter"],
        "model.encoders.build": ["encoder"],
        "model.feature_cache.cache": ["FeatureCache"],
        "model.recipe": ["Recipe"],
        "model.saving": ["load_model"],
        "planning.plan": ["Plan", "plan"],
        "preparation": ["prepare"],
        "records.dataset": ["dataset"],
        "records.record": ["RecordError"],
        "sampling.draws": ["Samples", "sample"],
        "sampling.regularizers": ["MagnificationEntropy", "MultinomialEntropy", "PlaceEntropy"],
        "sampling.schedules": ["ScheduleStrength"],
        "sampling.weights": ["sample_weights"],
        "slides.copies.local_copies": ["LocalCopies"],
        "slides.errors": ["SlideError"],
        "slides.properties": ["SlideInfo", "slide_info"],
        "slides.reader": ["read_overview", "read_patches"],
        "slides.shared_library": ["load_op"],
        "slides.tissue_options": ["TissueOptions"],
        "slides.writing.pyramid": ["write_pyramid"],
    },
)
