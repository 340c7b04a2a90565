"""What finished results say of how they were made: earlier calls, the code, the sums of all files.

code.py          the sum of the code that decides a result, and the versions of expensive rules
parsed.py        files of Python that were read for it, without reading them twice
drift.py         results that were made by other code than now, for a dry run
earlier.py       parameters and inputs that an earlier call recorded in another form, and that still hold
manifest.py      manifest.json: the sum of every file that a call made, and of what it was made from
verification.py  whether every file is whole, belongs to its inputs and was made by this code
"""
