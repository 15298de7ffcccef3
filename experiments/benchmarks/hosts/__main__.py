from experiments.benchmarks.hosts.benchmark import main

main()
