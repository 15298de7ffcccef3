from experiments.cohort_runs.commands import main

main()
