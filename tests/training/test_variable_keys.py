"""Keys of variables: the same in every process, and never one for two variables."""

import keras
import numpy as np
import pytest

from ats_mag.training.variable_keys import model_keys, optimizer_keys


def network(*names):
    """A network with a layer of every name (None: Keras names it), and its variables by key."""
    x = inputs = keras.Input((8, 8, 3))
    for name in names:
        x = keras.layers.Conv2D(3, 3, padding="same", name=name)(x)
    model = keras.Model(inputs, x)
    return model, model_keys(model.variables)


def with_optimizer(model, optimizer):
    optimizer.build(model.trainable_variables)
    return optimizer_keys(optimizer.variables, model_keys(model.variables))


def test_models_of_one_architecture_have_the_same_keys_whatever_was_built_before():
    first, keys = network(None, None, None)
    network(*[None] * 9)
    second, others = network(None, None, None)
    assert [v.path for v in first.variables] != [v.path for v in second.variables]
    assert list(keys) == list(others)
    assert [key for key in keys if key.endswith("kernel")] == ["conv2d/kernel", "conv2d#1/kernel", "conv2d#2/kernel"]
    for key, variable in keys.items():
        same = [(a is variable) == (b is others[key]) for a, b in zip(first.variables, second.variables, strict=True)]
        assert all(same)


def test_the_order_of_variables_does_not_matter():
    model, keys = network(None, "cue_7", None)
    assert model_keys(model.variables[::-1]) == keys


def test_it_does_not_matter_which_network_was_made_first():
    def keys(first, second):
        made = {first: network(None, None)[0], second: network(None, None)[0]}
        variables = [v for name in ("attention", "feature") for v in made[name].variables]
        found = model_keys(variables, made)
        for name, model in made.items():
            ids = {id(v) for v in model.variables}
            assert {id(v) for key, v in found.items() if key.startswith(f"{name}/")} == ids
        return set(found)

    assert keys("attention", "feature") == keys("feature", "attention")


def test_numbers_are_ordered_as_numbers():
    network(None)  # Keras has a counter of its own for every name
    model, _ = network(*[None] * 12)
    paths = [v.path for v in model.variables if v.path.endswith("kernel")]
    found = {variable.path: key for key, variable in model_keys(model.variables).items()}
    assert [found[path] for path in paths] == ["conv2d/kernel", *(f"conv2d#{i}/kernel" for i in range(1, 12))]


def test_names_that_were_given_stay_apart():
    names = ("cue_2", "cue_10", "cue", "cue_2_1", "cue_mass", None)
    _, keys = network(*names)
    assert {key.partition("/")[0] for key in keys} == {"cue", "cue#1", "cue#2", "cue_2", "cue_mass", "conv2d"}


def test_two_variables_of_one_name_are_refused():
    variables = [keras.Variable(0.0, name="strength"), keras.Variable(1.0, name="strength")]
    with pytest.raises(ValueError, match="have one name, 'strength' and 'strength': give the layers"):
        model_keys(variables)


@pytest.mark.parametrize("kind", ["adam", "accumulating", "scaled"])
def test_an_optimizers_variables_go_by_those_that_they_belong_to(kind):
    def optimizer():
        accumulate = {"gradient_accumulation_steps": 2} if kind == "accumulating" else {}
        adam = keras.optimizers.Adam(1e-3, **accumulate)
        return keras.optimizers.LossScaleOptimizer(adam) if kind == "scaled" else adam

    found = []
    for _ in range(2):
        model, keys = network(None, "feature", "feature_extra", None)
        network(None, None)
        of_optimizer = with_optimizer(model, optimizer())
        assert len(of_optimizer) == len({id(v) for v in of_optimizer.values()})
        for key, variable in of_optimizer.items():
            slot = key.split("/", 1)[1].rpartition("/")
            if slot[0]:  # of a variable of the model
                assert variable.shape == keys[slot[0]].shape
        found.append(list(of_optimizer))
    assert found[0] == found[1]
    expected = {"adam/iteration", "adam/conv2d#1/kernel/momentum", "adam/feature_extra/bias/velocity"}
    if kind == "accumulating":
        expected |= {"adam/feature/kernel/gradient_accumulator"}
    if kind == "scaled":
        expected |= {"loss_scale_optimizer/dynamic_scale", "loss_scale_optimizer/step_counter"}
    assert expected <= set(found[0])


def test_every_variable_of_a_classifier_and_its_optimizer_has_a_key_of_its_own():
    from ats_mag.config.schema import ModelConfig, RunConfig, TrainConfig
    from ats_mag.training.build import build_model, recipe_of

    config = RunConfig(
        model=ModelConfig(encoder="small"), train=TrainConfig(mixed_precision=True, accumulate=2, clip_norm=1.0)
    )
    models = [build_model(config, recipe_of(config), ["a", "b"], 8.0, 10, 2) for _ in range(2)]
    keys = [model_keys(model.variables) for model in models]
    optimizers = [
        optimizer_keys(model.optimizer.variables, of_model) for model, of_model in zip(models, keys, strict=True)
    ]
    assert list(keys[0]) == list(keys[1])
    assert list(optimizers[0]) == list(optimizers[1])
    for key in keys[0]:
        assert np.shape(keys[0][key]) == np.shape(keys[1][key])
    assert {"PlaceEntropy_strength", "seed_generator/seed_generator_state", "logits/kernel"} <= set(keys[0])
