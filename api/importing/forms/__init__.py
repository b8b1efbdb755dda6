"""Forms in which people keep records: pure functions of cells and texts.

moments        days and times of cells: typed, or by their notation or a format
numbers        numbers and durations of cells
notations      days and times as people write them: 下午5:30, 民國104年
json_records   the objects of a JSON file as a stream
"""
