from experiments.benchmarks.large_encoder.benchmark import main

main()
