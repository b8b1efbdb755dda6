"""Auditing: every check of an audit bundle, without a database and without a network. docs/audit.md.

    chunks        in all processes: leaves, tiles, schemas, and the decisions about scans of stations
    roots         from the chunks' hashes to roots of any size, compared with checkpoints
    signed        checkpoints: who signed and witnessed them
    streams       versions of streams without holes; where the events of a stream are
    scans/        scans of stations in columns, as far as they hold
    deciding/     every other decision, repeated on the streams as they were
    summary       what all chunks together say
    columns       the archive rebuilt from the bytes, compared with the one served
    read_models   read models and sealed hours, computed from that archive, compared with those served
    senders       signatures of stations and digests of texts, compared with the events
    audit         all of it, with progress; what was finished is not repeated after a stop
    findings, report   what is found, as values and as text

Findings are returned, never raised, and nothing in a bundle is written to. (`replay/audit/` is what auditors look at in
a running ledger: anomalies and samples.)
"""
