"""Charts as SVG, made on the server. Colours come from classes, so that themes apply; a page puts the numbers beside.

Nothing here knows requests or the ledger: a chart is a function of numbers.
"""
