from experiments.benchmarks.step.benchmark import main

main()
