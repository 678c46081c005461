"""The two baselines, Deng et al. 2019 and Shang et al. 2020 (MGCNet): their losses and trainings."""
