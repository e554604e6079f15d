"""Benchmarks of the send path: what a message costs, beside what it must cost. `make bench` runs them."""
