"""What training over hosts costs: the step in 1, 2 and 4 processes, and the exchange of gradients apart from it."""
