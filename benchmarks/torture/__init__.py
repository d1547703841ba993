"""The attack on the product, run by ``make torture``: bad inputs made from a seed, and processes killed at any moment.

Each module is a program of its own: ``python -m benchmarks.torture.inputs --seed 7``. It prints what it did and ends
with exit code 1 when something did not hold.
"""
