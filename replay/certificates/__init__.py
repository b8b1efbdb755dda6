"""Certificates of volunteer service: read from the log, written as documents, verified without the ledger.

    certificate     what one certificate states: its event, and the texts that belong to it
    register        the certificates of a ledger, and their state: valid, superseded or revoked
    issuing         the minutes that a new certificate states, with their evidence
    wording         the lines of a certificate, in Chinese and English
    typesetting     the PDF/A-3 file, and what such a file holds
    credential      the same as an Open Badges 3.0 credential
    badges          awards as such credentials
    data_integrity  proofs `eddsa-rdfc-2022` over credentials
    compact         the credential as a VC-JWT
    credential_keys the key that signs credentials, and its name as a did:key
    evidence        what a tlog-proof shows about a certificate: its event, and the sealed hours
    proving         the tlog-proof of a certificate, made once
    documents       the documents of a certificate, made when they are asked for
    verification    verifying a file of any of these forms

The same certificate always gives the same bytes. Nothing here writes to the log or opens a connection to anywhere.
"""
