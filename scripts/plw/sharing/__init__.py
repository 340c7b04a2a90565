"""Results that travel: what other people can check, use and publish of a finished study.

finished.py     which runs a finished study has, and what of it is missing
packing.py      the small results of runs: scores, measures, loss curves, records, counts and sums of data
readme.py       what an export holds, in words
exporting.py    all of it in one folder
crate.py        how it was made, as an RO-Crate
evaluations.py  the scores as Every Eval Ever records
croissant.py    Croissant metadata of the inverted data sets
sides.py        a study or an export as one side of a comparison
comparing.py    in what two studies differ beyond noise
comparison_text.py  that, for the terminal
methods.py      what a study did, as the methods section of a paper
commands.py     the commands' flags, and what they print
cards.py        model cards and data cards
publishing.py   a model or a data set as a repository of the Hub
origins.py      where data and models come from, and their licences
"""
