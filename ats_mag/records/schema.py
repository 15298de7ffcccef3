"""The version and the name of records, for those who need not read them and so no TensorFlow."""

SCHEMA = 2  # 2: with `mpp_source`
SUFFIX = ".tfrecord"
