"""What GlaS, BACH and TCGA-PRAD share: joint sampling, single magnifications and colour alone on a cohort."""
