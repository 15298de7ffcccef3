"""Megapixel MNIST: our estimators beside attention-sampling 0.2."""
