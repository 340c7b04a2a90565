"""What a fine-tuning did to the model (§5.3, Figure 2).

stability.py        how much the loss varies within a few updates (§5.3.1)
weight_distance.py  how far the weights moved (§5.3.2)
memorisation.py     how much of its training data a model recites (§5.3.3)
measuring.py        distance and memorisation of one run
packing.py          a study's runs, packed for a machine that is borrowed
borrowed.py         those runs there: trained, measured, answered, within a time limit
returned.py         what came back, as the workflow's own files
collection.py       all measures of all runs as one table, the lengths of the texts among them (§5.3.4)
"""
