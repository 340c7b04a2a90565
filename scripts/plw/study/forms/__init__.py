"""Files of rows whose form needs more than lines, read as they come.

arrays.py  the values of a JSON array, one after the other
tables.py  the header and the cells of CSV and TSV
"""
