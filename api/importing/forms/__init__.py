"""Forms in which people keep records: pure functions of text.

notations      days and times as people write them: 下午5:30, 民國104年
json_records   the objects of a JSON file as a stream
"""
