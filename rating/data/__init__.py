"""Tables of numbers and days that ship with the product; SOURCES.txt names where each comes from.

Everything but `supplement.csv` and `carriers.csv`, which people keep, is written by `python -m rating.data.build`.
"""
