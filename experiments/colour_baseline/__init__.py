"""What colour alone tells: logistic regression on colour histograms of the overviews."""

FOLDER = "colour-baseline"  # of the measures, in the run's folder
