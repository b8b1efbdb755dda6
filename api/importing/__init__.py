"""Bulk import: old records from a table (CSV or Excel), by a mapping file, as commands of the ledger.

    sources     the fields of commands, their kinds, and where a mapping can take them from
    mapping     what each line becomes: TOML, strictly validated
    columns     the positions of the mapped columns in a file
    tables      the lines of a file, as a stream
    sheets      the rows of an Excel file, with merged cells and formulas
    cells       cells: their text, how messages quote them, and rounding
    digits      formats of digits without separators
    identifiers cells that become names: damaged ones are refused
    instants    local times, where clocks go forward or back
    forms       how people write days, times and numbers; records as JSON
    fields      reading the fields of a line, as a mapping says
    lines       a line as an order, or what is wrong with it
    laying      where durations without clock times lie in their day
    running     submitting lines to the ledger, a slice at a time; or a dry run
    reports     the outcome of each line; the refused lines, for correction

Old records are marked as imported and shifts are attested: nothing that was typed can become a scan.
"""
