"""A compartment model of an epidemic."""


class SIR:
    """Susceptible, infected and recovered shares of a population, day by day."""

    outputs = ["prevalence", "incidence"]

    def __init__(self, transmission: float = 0.3, recovery: float = 0.1):
        self.transmission = transmission
        self.recovery = recovery

    def run(self, days: int = 30, infected: float = 0.01) -> dict[str, list[float]]:
        susceptible = 1.0 - infected
        prevalence, incidence = [], []
        for _ in range(days):
            new = self.transmission * susceptible * infected
            susceptible -= new
            infected += new - self.recovery * infected
            prevalence.append(infected)
            incidence.append(new)
        return {"prevalence": prevalence, "incidence": incidence}
