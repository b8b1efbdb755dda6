"""Routes of certificates of service: issuing them, reading them and their documents, and asking about one without a
key.
"""
