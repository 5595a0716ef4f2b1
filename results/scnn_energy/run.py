"""Refits the one calibrated number of SCNN's energy, and shows what the choices behind the energies are worth.

python results/scnn_energy/run.py      prints the fit, writes sensitivity.md beside this file, a few minutes
archmodel validate scnn_energy -o results      writes compare.md
"""
from archmodel.validation.scnn_energy import at_density, fitted_calibration
if __name__ == "__main__":
    run, _ = at_density(1.0)
    print(f"scatter_energy_calibration = {fitted_calibration(run):.4f}")
