"""Measures the relay against nginx on this machine: python -m benchmarks.relay --help."""
