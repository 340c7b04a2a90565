"""The forward pass of a batch whose tokens' scales are known: only what the objective needs, exactly.

output_layer.py      logits at chosen positions, and the batch's share of the objective
chunked_loss.py      output layer and loss together, in chunks of tokens
halving.py           physical batches in parts, halved where memory ran out
last_block.py        the last layer's projections at chosen positions only
packing.py           a batch without padding, what its rows begin with in common only once
packed_attention.py  LLaMA's attention over such a batch
norms.py             LLaMA's norms with fewer passes over the states
counting.py          what all of it multiplies
"""
