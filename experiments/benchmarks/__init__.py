"""Speed and memory: each benchmark runs as `python -m experiments.benchmarks.NAME`, on an idle machine."""
