"""The update rules in NumPy as textbooks print them: one expression per line, and a new array for every operation.

The demo compares adamcore with them, so they are written as people usually write them.
"""

from __future__ import annotations

import numpy as np

from adamcore._cli.network import Params


class Textbook:
    """The base class of the rules: the parameters and a step count."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.t = 0

    def zeros(self) -> Params:
        """Return state that starts at zero, by parameter name."""
        return {name: np.zeros_like(p) for name, p in self.params.items()}


class AdamW(Textbook):
    """Adam with decoupled weight decay."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params)
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.m, self.v = self.zeros(), self.zeros()

    def step(self, grads: Params) -> None:
        """Update the parameters in place."""
        self.t += 1
        beta1, beta2 = self.betas
        for name, g in grads.items():
            self.m[name] = beta1 * self.m[name] + (1 - beta1) * g
            self.v[name] = beta2 * self.v[name] + (1 - beta2) * g**2
            m_hat = self.m[name] / (1 - beta1**self.t)
            v_hat = self.v[name] / (1 - beta2**self.t)
            self.params[name] -= self.lr * self.weight_decay * self.params[name]
            self.params[name] -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class AMSGrad(Textbook):
    """Adam with the largest second moment so far in the denominator."""

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.m, self.v, self.v_max = self.zeros(), self.zeros(), self.zeros()

    def step(self, grads: Params) -> None:
        """Update the parameters in place."""
        self.t += 1
        beta1, beta2 = self.betas
        for name, g in grads.items():
            self.m[name] = beta1 * self.m[name] + (1 - beta1) * g
            self.v[name] = beta2 * self.v[name] + (1 - beta2) * g**2
            self.v_max[name] = np.maximum(self.v_max[name], self.v[name])
            m_hat = self.m[name] / (1 - beta1**self.t)
            v_hat = self.v_max[name] / (1 - beta2**self.t)
            self.params[name] -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class SGD(Textbook):
    """Stochastic gradient descent with momentum."""

    def __init__(self, params: Params, lr: float = 1e-3, momentum: float = 0.9) -> None:
        super().__init__(params)
        self.lr, self.momentum = lr, momentum
        self.buffer = self.zeros()

    def step(self, grads: Params) -> None:
        """Update the parameters in place."""
        for name, g in grads.items():
            self.buffer[name] = self.momentum * self.buffer[name] + g
            self.params[name] -= self.lr * self.buffer[name]


class RMSprop(Textbook):
    """Gradients divided by the root of a running average of their squares."""

    def __init__(self, params: Params, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__(params)
        self.lr, self.alpha, self.eps = lr, alpha, eps
        self.square_avg = self.zeros()

    def step(self, grads: Params) -> None:
        """Update the parameters in place."""
        for name, g in grads.items():
            self.square_avg[name] = self.alpha * self.square_avg[name] + (1 - self.alpha) * g**2
            self.params[name] -= self.lr * g / (np.sqrt(self.square_avg[name]) + self.eps)


class Adagrad(Textbook):
    """Gradients divided by the root of the sum of their squares."""

    def __init__(self, params: Params, lr: float = 1e-2, eps: float = 1e-10) -> None:
        super().__init__(params)
        self.lr, self.eps = lr, eps
        self.sum = self.zeros()

    def step(self, grads: Params) -> None:
        """Update the parameters in place."""
        for name, g in grads.items():
            self.sum[name] = self.sum[name] + g**2
            self.params[name] -= self.lr * g / (np.sqrt(self.sum[name]) + self.eps)
