"""What a frozen encoder said of patches that were seen, so that they need not be read and encoded again."""
