"""What the pages of the office share: forms, the acts they become, and a shift as it stands.

inputs.py    local times and versions in forms
acting.py    an act, given at once or asked for, and what was recorded
shifts.py    a shift as it stands, and what changed since a form was shown
waiting.py   the worklist, with the particulars of each entry
"""
