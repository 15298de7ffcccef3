from experiments.benchmarks.feature_cache.benchmark import main

main()
