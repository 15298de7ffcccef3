"""One default recipe, as `ats-mag plan` writes it, on cohorts of every kind."""
