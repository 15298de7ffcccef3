"""What every layer of the package must do, in one place."""

import keras
import numpy as np
from backends import compiled
from keras import ops


@keras.saving.register_keras_serializable("ats_mag_tests")
class Gain(keras.layers.Layer):
    """A trainable factor per entry: something to train before a layer that has nothing itself."""

    def build(self, shape):
        self.gain = self.add_weight(shape=shape[1:], initializer="ones", name="gain")

    def call(self, x):
        return x * self.gain

    def compute_output_shape(self, shape):
        return shape


def as_list(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def shapes(outputs):
    return [tuple(x.shape) for x in as_list(outputs)]


def dtypes(outputs):
    return [keras.backend.standardize_dtype(x.dtype) for x in as_list(outputs)]


def check_layer(layer, inputs, tmp_path, call_arguments=None, trained=(0,), loss_of=0, same_draw=True):
    """Checks a layer's whole contract on one batch.

    Args:
        layer: a layer that was not called yet.
        inputs: an array, or the list of arrays that the layer takes.
        tmp_path: where the model is saved.
        call_arguments: further arrays, passed by name.
        trained: which inputs a gradient must reach.
        loss_of: which output the gradient comes from.
        same_draw: whether two calls give the same result.
    """
    call_arguments = call_arguments or {}
    single = not isinstance(inputs, list)
    arrays = [inputs] if single else inputs

    # Shapes and dtypes: those of the call, those announced for the same shapes, and those of the symbolic call.
    outputs = layer(inputs, **call_arguments)
    announced = layer.compute_output_shape(inputs.shape if single else [x.shape for x in arrays])
    announced = [announced] if isinstance(announced[0], (int, type(None))) else announced
    assert shapes(outputs) == [tuple(shape) for shape in announced]
    symbols = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in arrays]
    keyword_symbols = {key: keras.Input(x.shape[1:], dtype=x.dtype.name) for key, x in call_arguments.items()}
    gained = [Gain()(symbol) if i in trained else symbol for i, symbol in enumerate(symbols)]
    symbolic = layer(gained[0] if single else gained, **keyword_symbols)
    assert [shape[1:] for shape in shapes(symbolic)] == [shape[1:] for shape in shapes(outputs)]
    assert dtypes(symbolic) == dtypes(outputs)

    # Configuration
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    if same_draw:
        equal(copy(inputs, **call_arguments), outputs)

    # Half precision of everything around it changes neither its own precision nor that it works.
    keras.config.set_dtype_policy("mixed_float16")
    try:
        under_policy = type(layer).from_config({**layer.get_config(), "name": "under_policy"})
        fresh = layer.get_config()
        fresh.pop("dtype", None)
        fresh = type(layer)(**{key: value for key, value in fresh.items() if key not in ("name", "trainable")})
    finally:
        keras.config.set_dtype_policy("float32")
    for half in (under_policy, fresh):
        results = half(inputs, **call_arguments)
        assert dtypes(results) == dtypes(outputs)
        assert all(np.isfinite(np.asarray(x)).all() for x in as_list(results))

    # A saved model
    model = keras.Model([*symbols, *keyword_symbols.values()], symbolic)
    feed = [*arrays, *call_arguments.values()]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert shapes(loaded(feed)) == shapes(outputs)
    if same_draw:
        equal(loaded(feed), outputs)
        equal(model(feed), outputs)

    # XLA
    in_one = compiled(lambda *tensors: model(list(tensors)))(*feed)
    assert shapes(in_one) == shapes(outputs)

    check_training(layer, inputs, call_arguments, trained, loss_of)


def check_training(layer, inputs, call_arguments=None, trained=(0,), loss_of=0):
    """Checks a training step, as `check_layer` does among others."""
    call_arguments = call_arguments or {}
    arrays = inputs if isinstance(inputs, list) else [inputs]
    symbols = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in arrays]
    keyword_symbols = {key: keras.Input(x.shape[1:], dtype=x.dtype.name) for key, x in call_arguments.items()}
    gained = [Gain()(symbol) if i in trained else symbol for i, symbol in enumerate(symbols)]
    symbolic = layer(gained if isinstance(inputs, list) else gained[0], **keyword_symbols)
    feed = [*arrays, *call_arguments.values()]
    target = as_list(symbolic)[loss_of]
    outputs = ops.reshape(target, (-1, int(np.prod(target.shape[1:]))))
    trainer = keras.Model([*symbols, *keyword_symbols.values()], outputs)
    ramp = np.linspace(0, 1, trainer.outputs[0].shape[1], dtype="float32")
    trainer.compile("sgd", loss=lambda y, p: ops.sum(p * ramp, axis=-1), jit_compile=False)
    before = [np.array(v.value) for v in trainer.trainable_variables]
    loss = trainer.train_on_batch(feed, np.zeros((len(arrays[0]), 1), "float32"))
    after = [np.array(v.value) for v in trainer.trainable_variables]
    assert np.isfinite(loss)
    assert all(np.isfinite(a).all() for a in after)
    assert len(after) == len(trained)
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


def equal(actual, expected):
    for a, e in zip(as_list(actual), as_list(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-6, atol=1e-7)
