from experiments.benchmarks.scaling.benchmark import main

main()
