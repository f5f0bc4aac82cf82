"""Prices, ratios, model lists and image rules as dated data, checked when they are loaded. Pure; no vendor is asked.

`from oneapi.catalog import prices, models, images`. The figures live in `data/*.json`, one line per model; a file that
is wrong stops the start-up with the line's name.
"""
