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
# # 01 The training loop
#
# Every network is trained by the same five operations, again and again:
#
# 1. take a batch of examples,
# 2. run the model forward and compute the loss,
# 3. run backward, which computes the gradients,
# 4. **update the parameters**,
# 5. clear the gradients.
#
# The whole course is about number 4. This lesson is about its place among the others: what each operation
# reads, what it leaves behind, and what happens when two of them trade places.
#
# After this lesson you will be able to
#
# - compute the gradients of a small model by hand, and see that PyTorch finds the same,
# - write a training step and a mini-batch loader, and train a real network with them,
# - say what is in `.grad` after each operation,
# - say what a larger batch buys, and what it costs.

# %% tags=["nbval-check-output"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from tqdm.auto import tqdm

from course import check, hint, predict, reveal, written
from course.data import load_digits
from course.microscope import look
from course.rules import SGD
from course.torch_bridge import RuleOptimizer
from course.widgets import alt, batch_size_noise
from course.widgets.style import COLORS

torch.set_num_threads(1)
print("ready")

# %% [markdown]
# ## The smallest example
#
# One weight, one bias, three examples: $x = 1, 2, 3$ and $y = 2x$. The model is $\hat y = wx + b$, the
# loss is the mean squared error, the rule is SGD with learning rate 0.01. Small enough to follow every
# number.

# %% tags=["nbval-check-output"]
torch.manual_seed(0)
model = torch.nn.Linear(1, 1)
loss_fn = torch.nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
x = torch.tensor([[1.0], [2.0], [3.0]])
y = 2 * x

print(f"w = {model.weight.item():.4f}, b = {model.bias.item():.4f}")

# %% [markdown]
# ## Predict

# %%
predict(
    "01-grad-at-birth",
    "The model has just been made. What is in model.weight.grad?",
    ["Zeros", "None", "Random numbers", "Whatever was in memory"],
)

# %% [markdown]
# ## See: what each operation leaves behind
#
# The next cell runs the five operations one by one. After each it writes down the parameters and the
# gradients. Read the table row by row: which operation changes which column?

# %% tags=["nbval-check-output"]
rows = []


def note(operation):
    """Write down what stands in the model's parameters and in their .grad."""
    grads = [p.grad for p in model.parameters()]
    shown = ["None" if g is None else f"{g.item():8.4f}" for g in grads]
    values = [f"{p.item():.4f}" for p in model.parameters()]
    rows.append(f"{operation:24s} {values[0]:>8s} {values[1]:>8s}   {shown[0]:>8s} {shown[1]:>8s}")


note("at the start")
at_birth = model.weight.grad
prediction = model(x)
loss = loss_fn(prediction, y)
note("after the forward pass")
loss.backward()
note("after backward()")
optimizer.step()
note("after step()")
optimizer.zero_grad()
note("after zero_grad()")

print(f"{'':24s} {'w':>8s} {'b':>8s}   {'w.grad':>8s} {'b.grad':>8s}")
print("\n".join(rows))
reveal(
    "01-grad-at-birth", f"{at_birth}", "There is no gradient before the first backward, not even a zero one."
)

# %% [markdown]
# - `backward()` writes `.grad` and touches no parameter.
# - `step()` reads `.grad` and changes the parameters. It does not clear anything.
# - `zero_grad()` clears, and it does so by setting `.grad` back to **None**. Older tutorials say *zeros*;
#   since PyTorch 2.0 the default is `set_to_none=True`.
#
# None and zero are not the same. With None, `step()` skips the parameter. With a zero gradient it still
# applies weight decay and momentum. The cell shows it with a decay of 0.5.

# %% tags=["nbval-check-output"]
for grad in (None, torch.zeros(1)):
    p = torch.nn.Parameter(torch.ones(1))
    p.grad = grad
    torch.optim.SGD([p], lr=0.1, weight_decay=0.5).step()
    print(f"gradient {'None' if grad is None else 'zero'}: 1.0 -> {p.item():.2f}")

# %% [markdown]
# ## Build: `linear_gradients`
#
# Where does the number in `w.grad` come from? Take one example first. Its squared error is $(wx + b -
# y)^2$. By the chain rule, the derivative of a square is twice what is squared, times the derivative of
# what is squared:
#
# $$\frac{\partial}{\partial w}(wx + b - y)^2 = 2\,(wx + b - y)\cdot x .$$
#
# The same goes for $b$. Now compute both for all examples. For the model $\hat y = wx + b$ and the
# loss $\frac1n \sum_i (\hat y_i - y_i)^2$ return the two derivatives `(dw, db)`. `x` and `y` are NumPy
# arrays of shape `(n,)`, `w` and `b` are numbers.


# %% exercise="linear_gradients"
def linear_gradients(w, b, x, y):
    """Return (dw, db), the derivatives of the mean squared error."""
    ### BEGIN SOLUTION
    error = w * x + b - y
    dw = np.mean(2 * error * x)
    db = np.mean(2 * error)
    return dw, db
    ### END SOLUTION


# %% check="linear_gradients" tags=["nbval-check-output"]
check(linear_gradients)

# %% [markdown]
# ## Validate: one step, three ways
#
# Now the whole update, from the same seed: by hand with your gradients, by PyTorch's autograd and
# optimizer, and by autograd with this course's own rule in the optimizer's place. `RuleOptimizer` makes
# any rule of the course a real `torch.optim.Optimizer`.


# %% tags=["nbval-check-output"]
def fresh():
    """Return the model of above as it was before its first step."""
    torch.manual_seed(0)
    return torch.nn.Linear(1, 1)


def one_step(optimizer_of):
    """Return (w, b) after one step with the optimizer that optimizer_of makes."""
    model = fresh()
    optimizer = optimizer_of(model.parameters())
    loss_fn(model(x), y).backward()
    optimizer.step()
    return model.weight.item(), model.bias.item()


ways = {
    "torch.optim.SGD": one_step(lambda p: torch.optim.SGD(p, lr=0.01)),
    "the course's rule": one_step(lambda p: RuleOptimizer(p, SGD(lr=0.01))),
}
if written(linear_gradients):
    w, b = fresh().weight.item(), fresh().bias.item()
    dw, db = linear_gradients(w, b, x.numpy().ravel(), y.numpy().ravel())
    ways["by hand"] = (w - 0.01 * dw, b - 0.01 * db)
for name, (w, b) in ways.items():
    print(f"{name:18s} w = {w:.6f}, b = {b:.6f}")

# %% [markdown]
# ## Build: `training_step`
#
# Put the operations in order. Write a function that makes one training step and returns the loss, measured
# before the step, as a plain number (`loss.item()`). The arguments are real PyTorch objects. The check
# watches what happens to them, not how you wrote it.


# %% exercise="training_step"
def training_step(model, loss_fn, optimizer, x, y):
    """Make one training step on the batch (x, y); return the loss as a float."""
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %% check="training_step" tags=["nbval-check-output"]
check(training_step)

# %% [markdown]
# `zero_grad()` may stand first or last. What matters is that nothing clears the gradients between
# `backward()` and `step()`, and that something clears them before the next `backward()`.

# %% [markdown]
# ## Predict: no `zero_grad` at all
#
# A widely read answer says that without `zero_grad()` gradients are *averaged* over the steps, so that the
# updates become too small to see.

# %%
predict(
    "01-no-zero-grad",
    "The gradient is 1 at every step. zero_grad is never called. What is .grad after 5 steps?",
    ["0.2", "1.0", "5.0"],
)

# %% tags=["nbval-check-output"]
p = torch.nn.Parameter(torch.zeros(1))
for _ in range(5):
    p.sum().backward()
print("gradient after five calls of backward:", p.grad.item())
reveal("01-no-zero-grad", f"{p.grad.item()}", "backward() adds. Nothing is averaged, and the updates grow.")

# %% [markdown]
# They *sum*. The updates do not shrink. Lesson 04 shows what this is, exactly: momentum of 1, a ball that
# rolls without friction.

# %% [markdown]
# ## Full batch, mini-batch, one at a time
#
# How many examples should one step look at? The loss is a mean over all of them; so is its gradient. A
# batch estimates that mean. The more examples, the smaller the error: with a batch of $B$ drawn at random
# it falls like $1/\sqrt{B}$. And a smaller batch gives more steps per pass over the data.
#
# Move the batch size. Each path sees the same number of examples, so the work is the same; what differs is
# how often the parameters move.

# %%
batch_size_noise()

# %% [markdown]
# The law $1/\sqrt{B}$ on real images: a linear model on the digits, at its random start. For each batch
# size, 400 batches are drawn, and we measure how far their gradients are from the full one.

# %% tags=["nbval-check-output"]
images, labels = load_digits()
X = torch.from_numpy(images.reshape(-1, 64))
T = torch.from_numpy(labels)
torch.manual_seed(0)
probe = torch.nn.Linear(64, 10)
cross_entropy = torch.nn.CrossEntropyLoss()


def gradient_on(index):
    """Return the weights' gradient on these examples, flat."""
    probe.zero_grad()
    cross_entropy(probe(X[index]), T[index]).backward()
    return probe.weight.grad.flatten().clone()


full = gradient_on(torch.arange(len(X)))
rng = np.random.default_rng(0)
print("batch   relative error   error * sqrt(batch)")
for size in (1, 4, 16, 64, 256):
    drawn = [gradient_on(torch.from_numpy(rng.integers(0, len(X), size))) for _ in range(400)]
    error = torch.stack([(g - full).norm() ** 2 for g in drawn]).mean().sqrt() / full.norm()
    print(f"{size:5d}   {error:14.2f}   {error * size**0.5:19.1f}")

# %% [markdown]
# The last column hardly moves: that is the law. To halve the error you need four times the examples, and so
# four times the work per step. This is why a step hardly ever reads all of the data: each further example
# helps less than the one before.

# %% [markdown]
# ## Build: `minibatches`
#
# Write the loader for one epoch. Given the number of examples `n`, a `batch_size` and a NumPy random
# generator `rng`, return a list of index arrays:
#
# - every example comes exactly once per epoch,
# - in an order drawn from `rng`, so a new one each time the function is called,
# - all batches have `batch_size` examples, and the last one keeps the rest, however few.


# %% exercise="minibatches"
def minibatches(n, batch_size, rng):
    """Return the batches of one epoch: a list of 1-d arrays of indices."""
    ### BEGIN SOLUTION
    order = rng.permutation(n)
    return [order[start : start + batch_size] for start in range(0, n, batch_size)]
    ### END SOLUTION


# %% check="minibatches" tags=["nbval-check-output"]
check(minibatches)

# %% [markdown]
# ## Train a network that reads digits
#
# The loss is the *cross entropy*: minus the logarithm of the probability that the model gives to the right
# digit (its unit, with the natural logarithm, is the nat; guessing among ten costs 2.3). The data are 1797
# handwritten digits of 8 x 8 pixels (E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten
# Digits*, UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0). They were written by 13
# people.

# %%
figure, axes = plt.subplots(2, 10, figsize=(8, 1.9), layout="constrained")
for column in range(10):
    for row in range(2):
        axes[row, column].imshow(images[labels == column][row], cmap="gray_r")
        axes[row, column].axis("off")
plt.show()
alt("Two handwritten examples of each digit from 0 to 9, as grey images of eight by eight pixels.")

# %% [markdown]
# Your two functions do the rest: `minibatches` cuts the epochs, `training_step` makes the steps. The
# optimizer is the course's own `SGD` rule. The last 360 images are kept aside for the test.

# %%
train, test = slice(0, 1437), slice(1437, None)
torch.manual_seed(1)
network = torch.nn.Linear(64, 10)
curve, accuracy = [], []


def test_accuracy():
    """Return the share of test images that the network reads right."""
    with torch.no_grad():
        return (network(X[test]).argmax(1) == T[test]).float().mean().item()


if written(training_step) and written(minibatches):
    optimizer, rng = RuleOptimizer(network.parameters(), SGD(lr=0.5)), np.random.default_rng(0)
    for _ in tqdm(range(20), desc="epochs", mininterval=0.5):
        for batch in minibatches(1437, 32, rng):
            curve.append(training_step(network, cross_entropy, optimizer, X[train][batch], T[train][batch]))
        accuracy.append(test_accuracy())

# %% tags=["nbval-check-output"]
if accuracy:
    print(f"{len(curve)} steps")
    print(f"loss: first ten steps {np.mean(curve[:10]):.2f}, last epoch {np.mean(curve[-45:]):.2f}")
    print(f"test accuracy: first epoch {100 * accuracy[0]:.0f} %, last epoch {100 * accuracy[-1]:.0f} %")

# %%
if accuracy:
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    left.plot(curve, color=COLORS["sky"], lw=0.6, label="each mini-batch")
    mean = np.convolve(curve, np.ones(45) / 45, "valid")
    left.plot(np.arange(22, 22 + len(mean)), mean, color=COLORS["blue"], label="mean of 45 batches")
    left.set(xlabel="step", ylabel="loss (nats)", yscale="log")
    left.legend(frameon=False)
    right.plot(range(1, 21), 100 * np.array(accuracy), "o-", color=COLORS["green"], ms=3)
    right.set(xlabel="epoch", ylabel="test accuracy (%)")
    plt.show()
    alt(
        "Left: the loss falls with the steps, noisy from batch to batch. "
        "Right: the test accuracy rises within a few epochs."
    )

# %% [markdown]
# ### What has it learnt?
#
# A linear model has one weight per pixel and digit. So its weights are ten images. Purple speaks for the
# digit, orange against it.

# %%
if accuracy:
    weights = network.weight.detach().numpy().reshape(10, 8, 8)
    bound = np.abs(weights).max()
    figure, axes = plt.subplots(2, 5, figsize=(7, 3.1), layout="constrained")
    for digit, ax in enumerate(axes.flat):
        ax.imshow(weights[digit], cmap="PuOr", vmin=-bound, vmax=bound)
        ax.set_title(digit, fontsize=9)
        ax.axis("off")
    plt.show()
    alt(
        "The ten weight images. In the image for 0 the centre speaks against the digit and a ring around it "
        "for it; the others show strokes of their digit less clearly."
    )

# %% [markdown]
# Nobody drew the hollow centre of the 0. It came out of repeating five operations 900 times.

# %% [markdown]
# ## Where conventions differ
#
# - **Mean or sum.** `MSELoss()` takes the mean over all *elements*; `reduction="sum"` adds them. The
#   gradient, and with it the step, is then larger by the number of elements. A learning rate is only a
#   number together with this choice.
# - **Shapes.** `MSELoss` broadcasts. A prediction of shape `(64, 5)` against a target of shape `(64, 1)`
#   gives a loss, a warning that scrolls by, and a model that learns the wrong thing. The cell shows the
#   more common case: a column against a flat array.
# - **Who clears.** PyTorch accumulates until you clear. JAX and TensorFlow return fresh gradients from each
#   call; there is nothing to forget.

# %% tags=["nbval-check-output"]
import warnings

mse = torch.nn.functional.mse_loss
prediction, target = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1.0, 2.0, 3.0])
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PyTorch does warn here
    broadcast = mse(prediction, target)
print(f"a perfect prediction, shapes (3, 1) and (3,): loss {broadcast:.4f}")
print(f"the same with equal shapes:                   loss {mse(prediction[:, 0], target):.4f}")
print(f"sum / mean: {(mse(model(x), y, reduction='sum') / mse(model(x), y)).item():.1f}")

# %% [markdown]
# ## In the wild
#
# **The loss that was scaled, and the loss that was not.** A loop wants to divide the loss by the number of
# accumulation steps and writes `loss.data = loss.data / k`, or prints a scaled copy and calls `backward()`
# on the original. What you print is then not what you train on. Only the tensor that you call `backward()`
# on counts.


# %% tags=["nbval-check-output"]
def weight_gradient(scale):
    """Return w.grad after backward, where scale(loss) gives the tensor that backward is called on."""
    model = fresh()
    scale(loss_fn(model(x), y)).backward()
    return model.weight.grad.item()


def scale_the_data(loss):
    """Divide the number inside the tensor, and hand the same tensor back."""
    loss.data = loss.data / 4
    return loss


plain = weight_gradient(lambda loss: loss)
divided = weight_gradient(lambda loss: loss / 4)
print(f"loss / 4:                  gradient {divided / plain:.2f} times the plain one")
print(
    f"loss.data = loss.data / 4: gradient {weight_gradient(scale_the_data) / plain:.2f} times the plain one"
)

# %% [markdown]
# The second line divided the number that is shown, not the function that is differentiated.

# %% [markdown]
# ## What you now know
#
# - `backward()` adds to `.grad`, `step()` reads it, `zero_grad()` sets it to None.
# - By hand, by autograd, by the course's rule: the same step, to six decimals.
# - The error of a mini-batch gradient falls like $1/\sqrt{B}$: half the error costs four times the
#   examples.
# - A training loop is two short functions, and you have written both.
#
# Next: [02 Why is my model not updating?](02_why_no_update.ipynb), where eight loops are ill, and you mend
# them.
