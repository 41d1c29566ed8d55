"""The curves of runs: columns of metrics.jsonl, reduced to what a chart shows.

`library` answers; `columns` holds the current rows of one run as arrays and follows its file;
`parsing` turns bytes into columns; `buckets` and `smoothing` reduce them; `disk_cache` keeps the
columns of long runs between two lives of the server. NumPy and pyarrow are imported when a
curve is first asked for, so that the server's own start stays quick.
"""
