"""How good predictions are: metrics, plots, reports, comparisons, stress slices."""
