"""Anomalies: what is odd about records, each kind a pure function of columns, with its reason and the events behind it.

    findings.py   what a finding is, the kinds, the columns they are found in
    meetings.py   two stations at once; from one to another faster than anybody travels
    stays.py      shifts over twelve hours; over the cap of the day, day after day
    entries.py    entries in bursts; one person deciding about the same volunteers; round numbers
    recording.py  late uploads, late entries, clocks that run wrong

A finding is no verdict: nothing is taken from anybody by it. Thresholds stand in the rules
(projections/anomaly_rules.py). Every function looks at numbers alone and says the same whatever order events came in.
There is no kernel here: numpy finds the few candidates, and plain Python looks at those.
"""
