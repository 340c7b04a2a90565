"""The generated world of the demo study: all that a laptop needs to run the paper in small.

From a seed the package makes a small consistent world (people, animals, villages, tools and their
attributes; four languages), and from that world a pretraining corpus, instruction data, thirteen benchmarks
in the real data sets' formats and pairs of answers for a judge. The "English" of this world is plain English
with a small vocabulary and a regular grammar; names, facts and the other three languages are generated.
No sentence is copied from a real text or data set.

world -> wording -> corpus | tasks -> instructions | benchmarks | judging      (one topic per module)
tokenizer, pretraining, judge_training turn these files into models.

Nothing in `plw` imports this package: it stands where real models and data sets stand in the other studies.
"""
