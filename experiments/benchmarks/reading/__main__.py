from experiments.benchmarks.reading.benchmark import main

main()
