"""
The generated world of a study without downloads: corpus, instruction data, benchmarks, two small ptlms and a judge.
Included only by studies that have a `world` section.

REQUIRED INPUTS:  none
OUTPUTS:          results/STUDY/world/…
"""
