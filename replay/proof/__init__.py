"""Proof: the ledger as a transparency log, so that nobody has to trust the operator of the database.

Here live the Merkle tree over the stored events (`tree`, `entries`, `tiles`), what the log signs (`notes`, `keys`,
`checkpoints`), proofs as files (`proofs`), the second tree that seals the hours (`seals`), and what keeps all of it up
to date (`growth`, `witnesses`, `policies`). Formats are those of RFC 6962 and of C2SP. Nothing here writes to the log.

Audits of a bundle and certificates are elsewhere: they rest on this.
"""
