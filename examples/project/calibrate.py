"""Says how far the model is from what was observed, over some rates of transmission."""

from models.sir import SIR
from targets.prevalence import prevalence_mean

target = prevalence_mean()
for transmission in (0.2, 0.25, 0.3, 0.35, 0.4):
    print(f"{transmission:.2f} {target.distance(SIR(transmission).run()):.2e}")
