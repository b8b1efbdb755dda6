"""Bulk import: years of old records from a table (CSV or Excel), by a mapping file, as commands of the ledger.

    mapping   what each line becomes: TOML, checked strictly
    columns   where in this very file the mapped columns are
    tables    the file's lines, as a stream
    cells     what a cell says: a day, a time, a number, a name
    lines     a line as an order, or what is wrong with it
    running   lines through the ledger, a slice at a time; dry or not
    reports   what became of each line; the refused lines, to be mended

Old records are marked as imported and shifts are attested: nothing that was typed can become a scan.
"""
