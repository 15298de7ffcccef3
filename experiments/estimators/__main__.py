from experiments.estimators.experiment import main

main()
