"""What a study would cost, before anything runs, and what its jobs ask a scheduler for.

workload.py    tokens that jobs read and write, from measured or printed lengths
batches.py     how many sequences a device sees at once, by number or by a budget of tokens
processor.py   jobs and processor seconds of a study that makes its own small models
machine.py     how fast this machine is, measured in a second
cost.py        GPU hours of jobs, from published rates or a pilot's
device.py      rates that were measured on one card, in place of the published ones
memory.py      what a training takes of a device's memory, by its model's sizes
fit.py         whether trainings fit, and how many sequences a device sees at once
plan.py        what a study would cost in all
scheduling.py  what a job asks a scheduler for: GPUs, cores, minutes
"""
