"""Whole-slide histology classification by joint spatial and magnification attention sampling."""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "adaptive.options": ["AdaptiveOptions"],
        "adaptive.predict": ["AdaptivePrediction", "predict_adaptively"],
        "in_memory": ["attention_sampling"],
        "lattice": ["Lattice"],
        "layers.expectation": ["Expectation"],
        "layers.joint_softmax": ["JointSoftmax"],
        "layers.l2_normalize": ["L2Normalize"],
        "layers.read_slide_patches": ["ReadSlidePatches"],
        "layers.regularize_attention": ["RegularizeAttention"],
        "layers.sample_patches": ["SamplePatches"],
        "models": ["SlideClassifier"],
        "networks": ["application_network", "attention_network", "feature_network"],
        "manifest": ["ManifestError", "read_manifest"],
        "preparation": ["prepare"],
        "records": ["RecordError", "dataset"],
        "regularizers": ["MagnificationEntropy", "MultinomialEntropy", "PlaceEntropy"],
        "sampling": ["Samples", "sample", "sample_weights"],
        "saving": ["load_model"],
        "schedules": ["ScheduleStrength"],
        "slides.local_copies": ["LocalCopies"],
        "slides.properties": ["SlideError", "SlideInfo", "slide_info"],
        "slides.pyramid": ["write_pyramid"],
        "slides.reader": ["load_op", "read_overview", "read_patches"],
    },
)
