"""From instruction data as published to what a model trains on (§4.3, App. A).

instances.py     instances (instruction, input, output), read from five common formats
fields.py        fields of a row as text, or why it cannot be used
conversations.py forms of conversations: their first exchange, or all turns
reading.py       what was read of a data set, in words
formats.py       which of the formats a file has, told by its fields
ratios.py        the generation ratio R_g (§2.1) by each definition in use
inversion.py     prompt inversion (App. A)
preparation.py   an entry of the study to instances and a report on its rows
token_counts.py  tokens of single fields, as Table 1 counts them
description.py   Table 1's row of a data set
template.py      the two prompt templates of Stanford Alpaca (§4.2)
tokenizers.py    tokenizers, with the special tokens that Alpaca adds
tokenization.py  from an instance to token ids
encoded.py       encoded rows, kept for all trainings of a tokenizer
turn_tokens.py   from a whole conversation to token ids, each with its role
preflight.py     what training will make of a data set
"""
