from experiments.benchmarks.gpu.benchmark import main

main()
