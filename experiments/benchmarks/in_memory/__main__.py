from experiments.benchmarks.in_memory.benchmark import main

main()
