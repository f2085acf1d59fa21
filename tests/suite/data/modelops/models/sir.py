from modelops_calabaria import BaseModel, model_output


class SIR(BaseModel):
    """Susceptible, infected, recovered."""

    @model_output("incidence")
    def incidence(self, raw, seed):
        return raw

    @model_output("prevalence")
    def prevalence(self, raw, seed):
        return raw
