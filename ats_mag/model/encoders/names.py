"""The encoders that need no folder."""

LITE0 = "efficientnet-lite0"
SMALL = "small"
APPLICATION = "keras:"  # followed by a network of `keras.applications`, and perhaps by `@FILE`
