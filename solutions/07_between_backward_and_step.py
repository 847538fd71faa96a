# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 Between backward and step

# %% exercise="clip_by_norm"
def clip_by_norm(gradients, max_norm):
    """Return (clipped, norm): a list of new arrays, and the norm of all gradients before clipping."""
    ### BEGIN SOLUTION
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    factor = min(1.0, max_norm / (norm + 1e-6))
    return [factor * g for g in gradients], norm
    ### END SOLUTION


# %% check="clip_by_norm" tags=["nbval-check-output"]
check(clip_by_norm)


# %% exercise="clip_by_value"
def clip_by_value(gradients, limit):
    """Return a list of new arrays, each element brought into [-limit, limit]."""
    ### BEGIN SOLUTION
    clipped = []
    for g in gradients:
        clipped.append(np.maximum(np.minimum(g, limit), -limit))
    return clipped
    ### END SOLUTION


# %% check="clip_by_value" tags=["nbval-check-output"]
check(clip_by_value)


# %% exercise="accumulate"
def accumulate(gradients, counts, k):
    """Return the gradients of the steps: a list of arrays, one for every k micro-batches and for the rest."""
    ### BEGIN SOLUTION
    steps = []
    for start in range(0, len(gradients), k):
        total, count = 0.0, 0
        for g, n in zip(gradients[start : start + k], counts[start : start + k]):
            if n > 0:
                total = total + n * g
                count = count + n
        steps.append(total / count)
    return steps
    ### END SOLUTION


# %% check="accumulate" tags=["nbval-check-output"]
check(accumulate)


# %% exercise="LossScaler"
class LossScaler:
    """Scale losses up for float16; find the scale by trial."""

    def __init__(self, init_scale=65536.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000):
        self.factor = init_scale
        self.growth_factor = growth_factor
        self.backoff_factor = backoff_factor
        self.growth_interval = growth_interval
        self.good_steps = 0  # in a row
        self.finite = True  # what unscale found

    def scale(self, loss):
        """Return the loss that backward is called on."""
        ### BEGIN SOLUTION
        return loss * self.factor
        ### END SOLUTION

    def unscale(self, grads):
        """Return the gradients of the loss itself, a list of float32 arrays; note in self.finite if all are finite."""
        ### BEGIN SOLUTION
        self.finite = all(np.isfinite(g).all() for g in grads)
        return [g.astype(np.float32) / self.factor for g in grads]
        ### END SOLUTION

    def step(self, take_step):
        """Call take_step(), unless a gradient was not finite."""
        ### BEGIN SOLUTION
        if self.finite:
            take_step()
        ### END SOLUTION

    def update(self):
        """Adapt self.factor for the next step."""
        ### BEGIN SOLUTION
        if not self.finite:
            self.factor = self.factor * self.backoff_factor
            self.good_steps = 0
            return
        self.good_steps = self.good_steps + 1
        if self.good_steps == self.growth_interval:
            self.factor = self.factor * self.growth_factor
            self.good_steps = 0
        ### END SOLUTION


# %% check="LossScaler" tags=["nbval-check-output"]
check(LossScaler)


# %% exercise="master_weight_step"
def master_weight_step(grad, weight, master, lr):
    """Return (weight, master). grad, weight: float16. master: float32. Change none of your inputs."""
    ### BEGIN SOLUTION
    master = master - lr * grad.astype(np.float32)
    return master.astype(np.float16), master
    ### END SOLUTION


# %% check="master_weight_step" tags=["nbval-check-output"]
check(master_weight_step)


# %% exercise="ema"
def ema(average, param, decay, step):
    """Return (average, corrected), both float32; param may be float16. step is 1 at the first call."""
    ### BEGIN SOLUTION
    average = decay * average + (1 - decay) * param.astype(np.float32)
    return average, average / (1 - decay**step)
    ### END SOLUTION


# %% check="ema" tags=["nbval-check-output"]
check(ema)
