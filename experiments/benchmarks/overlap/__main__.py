from experiments.benchmarks.overlap.benchmark import main

main()
