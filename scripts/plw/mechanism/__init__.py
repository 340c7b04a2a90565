"""What a fine-tuning did to the model (§5.3, Figure 2).

stability.py        how much the loss varies within a few updates (§5.3.1)
weight_distance.py  how far the weights moved (§5.3.2)
memorisation.py     how much of its training data a model recites (§5.3.3)
collection.py       all measures of all runs as one table, the lengths of the texts among them (§5.3.4)
"""
