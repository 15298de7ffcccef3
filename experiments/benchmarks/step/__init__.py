"""A training step beside attention-sampling 0.2."""
