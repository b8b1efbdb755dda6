"""Operations: routes for operating the ledger and trying out rules: status, rules, generations, what-ifs and jobs.

Building and switching generations are jobs; a what-if is a job on request.
"""
