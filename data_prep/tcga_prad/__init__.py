"""TCGA-PRAD as a cohort: diagnostic slides of prostate adenocarcinoma with their Gleason grade groups."""
