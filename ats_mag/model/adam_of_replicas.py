"""Adam for a batch that several devices share: it clips and accumulates the gradient of the whole batch."""

from __future__ import annotations

from typing import Any

import keras

from ats_mag.model.adam_of_two_rates import AdamOfTwoRates
from ats_mag.sampling.regularizers import PACKAGE
from ats_mag.tensors import Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class AdamOfReplicas(AdamOfTwoRates):
    """Adam whose gradients were summed over all replicas before it is given them.

    Keras' optimisers sum them at the very last: each replica clips what it has of the gradient for itself, a loss scale looks
    for overflow there, and gradients cannot be accumulated. Summed first, they cross the network once all the same.

    All arguments are those of `AdamOfTwoRates`. On one device it is that optimiser.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return list(grads_and_vars)  # they are sums

    def _backend_apply_gradients(self, grads: list[Tensor], trainable_variables: list[Any]) -> None:
        import tensorflow as tf

        strategy, steps = tf.distribute.get_strategy(), self.gradient_accumulation_steps
        if not steps or strategy.num_replicas_in_sync == 1:
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        stores = [self._accumulated_gradients[self._get_variable_index(variable)] for variable in trainable_variables]

        def step(grads: list[Tensor]) -> None:
            means = [(grad + store) / steps for grad, store in zip(grads, stores, strict=True)]
            self._backend_update_step(self._clip_gradients(means), trainable_variables, self.learning_rate)

        def of_all(strategy: tf.distribute.Strategy, grads: list[Tensor]) -> None:
            each = strategy.extended

            def update() -> None:
                each.call_for_each_replica(step, args=(grads,))
                for store in stores:
                    each.update(store.value, lambda own: own.assign(tf.zeros_like(own)), group=False)

            def accumulate() -> None:
                for store, grad in zip(stores, grads, strict=True):
                    each.update(store.value, lambda own, more: own.assign_add(more), args=(grad,), group=False)

            # A branch that changes variables of all replicas must be taken for all of them at once.
            tf.cond(tf.equal((self._iterations + 1) % steps, 0), update, accumulate)

        tf.distribute.get_replica_context().merge_call(of_all, args=(grads,))
