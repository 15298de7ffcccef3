"""The encoders that need no folder."""

LITE0 = "efficientnet-lite0"
SMALL = "small"
APPLICATION = "keras:"  # followed by a network of `keras.applications`, and perhaps by `@FILE`
RANDOM = "random"  # in place of FILE: weights that are learnt from nothing
