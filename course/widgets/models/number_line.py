"""The numbers of a format around a weight, and what becomes of updates that fall between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from course.averaging import round_to_bfloat16

__all__ = ["FORMATS", "Format", "walk"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Format:
    """A floating format, by its name and the number of its significant bits, the hidden one included."""

    name: str
    bits: int

    def round(self, x: npt.ArrayLike) -> Floats:
        """Return the nearest numbers of the format; ties go to the even one."""
        single = np.asarray(x, dtype=np.float32)
        if self.name == "float32":
            return single.astype(np.float64)
        low = single.astype(np.float16) if self.name == "float16" else round_to_bfloat16(single)
        return np.asarray(low, dtype=np.float64)

    def spacing(self, x: float) -> float:
        """Return the distance from a positive number of the format to the next larger one."""
        _, exponent = np.frexp(x)
        return float(2.0 ** (int(exponent) - self.bits))

    def spacing_below(self, x: float) -> float:
        """Return the distance to the next smaller one: half of that above, where ``x`` is a power of two."""
        mantissa, _ = np.frexp(x)
        return self.spacing(x) / (2 if mantissa == 0.5 else 1)

    def around(self, x: float, below: float, above: float) -> Floats:
        """Return the numbers of the format from ``x - below`` to ``x + above``, ``x`` among them."""
        down = -np.arange(0, int(below / self.spacing_below(x)) + 1) * self.spacing_below(x)
        up = np.arange(1, int(above / self.spacing(x)) + 1) * self.spacing(x)
        return np.unique(self.round(x + np.concatenate([down, up])))


FORMATS = (Format("bfloat16", 8), Format("float16", 11), Format("float32", 24))


def walk(form: Format, weight: float, update: float, steps: int) -> Floats:
    """Return the weight after each of ``steps`` rounded additions of ``update``, shape (steps + 1,)."""
    x, path = np.float32(form.round(weight)), [float(weight)]
    for _ in range(steps):
        x = np.float32(form.round(np.float32(x + np.float32(update))))
        path.append(float(x))
    return np.array(path)
