"""Measurements behind every figure that the README states; ``make bench`` writes benchmarks/README.md."""
