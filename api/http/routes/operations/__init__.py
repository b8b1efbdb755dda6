"""Operations: routes for those who run the ledger and try out its rules: status, generations, what-ifs and jobs.

Long work is started as a job and never done while a request waits.
"""
