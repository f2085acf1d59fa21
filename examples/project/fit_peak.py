"""Fits models/peak.safetensors: the peak of the epidemic from the two rates, without running the model.

Needs numpy and safetensors.
"""

import numpy as np
from safetensors.numpy import save_file

from models.sir import SIR

rates = [(t, r) for t in np.linspace(0.2, 0.6, 21) for r in np.linspace(0.05, 0.15, 11)]
peaks = np.array([max(SIR(t, r).run(days=200)["prevalence"]) for t, r in rates])
t, r = np.array(rates).T
terms = np.stack([np.ones_like(t), t, r, t * t, t * r, r * r], axis=1)
coefficients, *_ = np.linalg.lstsq(terms, peaks, rcond=None)
worst = np.abs(terms @ coefficients - peaks).max()
print(f"at most {worst:.3f} off")
save_file(
    {"coefficients": coefficients.astype(np.float32)},
    "models/peak.safetensors",
    {"format": "np", "description": "Peak of the epidemic from the two rates, as a polynomial"},
)
