"""TCGA-PRAD, from the downloaded slides to a table."""
