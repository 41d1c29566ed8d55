"""mlx-lm's own training step and this project's, on the same model and batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


def stock_step(model: Any) -> Callable[[Any, Any], None]:
    """A step as `mlx_lm.tuner.trainer.train` makes it."""
    import mlx.core as mx
    import mlx.optimizers
    from mlx.nn.utils import value_and_grad
    from mlx_lm.tuner.trainer import default_loss

    optimizer = mlx.optimizers.AdamW(1e-5)
    differentiate = value_and_grad(model, default_loss)
    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(batch: Any, lengths: Any) -> Any:
        (loss, tokens), gradients = differentiate(model, batch, lengths)
        optimizer.update(model, gradients)
        return loss, tokens

    def run(inputs: Any, targets: Any) -> None:
        rows, length = inputs.shape
        batch = mx.concatenate([mx.array(inputs), mx.array(targets[:, -1:])], axis=1)
        loss, tokens = step(batch, mx.array([[0, length]] * rows))
        mx.eval(state, loss, tokens)

    return run


class OurStep:
    """A step as the training loop makes it: nothing waits for the update but the next step.

    Args:
        model: whose unfrozen parameters are trained.
    """

    def __init__(self, model: Any) -> None:
        from cptstudio.lm.compilation import prepare_compilation
        from cptstudio.lm.gradients import GradientStep
        from cptstudio.lm.parameter_kinds import parameter_kinds, treatments
        from cptstudio.settings import OptimizerSettings
        from cptstudio.training.optimizers import Optimizer, TrainedParameters

        self._gradients = GradientStep(model)
        self._parameters = TrainedParameters(model)
        settings = OptimizerSettings(learning_rate=1e-5)
        trained = {name: self._parameters[name] for name in self._parameters}
        self._optimizer = Optimizer(
            self._parameters,
            settings,
            treatments=treatments(parameter_kinds(model), trained, "kinds", ()),
            compile=prepare_compilation(),
        )

    def __call__(self, inputs: Any, targets: Any) -> None:
        """Gradients and the update; its last parts may still be under way."""
        from mlx.utils import tree_flatten

        nats, count, tree = self._gradients(inputs, targets)
        gradients: dict[str, Any] = dict(tree_flatten(tree))
        del tree
        self._apply(nats, gradients, count)

    def update_alone(self) -> None:
        """The update, to its end, with gradients of one."""
        import mlx.core as mx

        gradients = {name: mx.ones_like(value) for name, value in self._parameters.items()}
        mx.eval(*gradients.values())
        self._apply(mx.array(0.0), gradients, 1)
        self.finish()

    def finish(self) -> None:
        """Wait for what is under way."""
        import mlx.core as mx

        mx.eval(*self._parameters.values(), *self._optimizer.state().values())

    def _apply(self, nats: Any, gradients: dict[str, Any], count: int) -> None:
        import mlx.core as mx

        from cptstudio.training.optimizers import clip_factor

        norm = self._optimizer.gradient_norm(gradients) / count
        loss, scale = nats / count, clip_factor(norm, 1.0) / count
        mx.eval(loss, norm, scale)
        self._optimizer.update(self._parameters, gradients, rate=1.0, scale=scale)
