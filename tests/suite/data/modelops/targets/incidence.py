from modelops_calabaria import calibration_target


@calibration_target(model_output="incidence", data={"observed": "data/observed.csv"})
def incidence_target(data_paths):
    return None
