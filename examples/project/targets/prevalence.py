"""What the model should reproduce."""

from calibration import Target, calibration_target, column


@calibration_target(model_output="prevalence", data={"observed": "data/observed.csv"})
def prevalence_mean(paths):
    """The share of people infected, as observed over thirty days."""
    return Target(model_output="prevalence", observed=column(paths["observed"], "prevalence"))
