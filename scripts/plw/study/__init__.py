"""What a study asks for, and what its jobs need: configuration, run table, sources, cost, files, parameters.

Light on purpose: every Snakemake process imports this room, so nothing in it loads torch, transformers or pandas.

chain.py          study files merged over their base, checked as a whole; every error knows file and line
configuration.py  config.yaml's few keys, the study that they choose, the registries beside it
runs.py           the run table: one run per ptlm × data set × plw × normalization × regularizer × seed
design.py         what a study consists of: experiments, batches, the artifacts that it can make
sources.py        where data and models come from, by one key
rows.py           rows of any file, one after the other where its form allows
content.py        the bytes of a file: sizes, gzip, encodings; what holds no rows is named for what it is
hub.py            what a repository on the Hub holds, its files in the client's cache, each refusal in words
fetching.py       all that a study needs from the network, fetched and checked before its first job
splits.py         which files of a data repository hold a split
pretrained.py     models and tokenizers by that key, and one clear message when they cannot be loaded
layout.py         where the files of a study lie
inputs.py         local files that a job needs before it can run
parameters.py     what decides a job's result, as JSON
forms/            JSON arrays and tables, read as they come
records/          which code made results, what they were made from, whether they still are as they were made
planning/         what a study would cost, and what its jobs ask a scheduler for
logs.py           what a call tells at its end: what failed, or where the report is
doctor.py         what is installed, what is missing, how to get it
"""
