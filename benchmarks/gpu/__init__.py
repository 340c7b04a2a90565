"""Ten minutes of one GPU: what is checked and measured there, one module a part (`make test-gpu`, docs/gpu.md).

part.py          what a part is, and why one may be left out
driver.py        runs the parts within a budget of time; gpu.json after each of them
machine.py       the device's name, driver and data sheet
shapes.py        models by their published sizes, with random weights made on the device
trainings.py     trainings of such models by our trainer
rates.py         from the parts to the rates that a study's plan rests on
table.py         gpu.json as a Markdown table

parity.py        loss and gradients beside a plain loop in float64 on the CPU
zero.py          DeepSpeed: the exact float32 start, ZeRO-3 on one rank
resuming.py      SIGTERM in mid-training, and the losses after resuming
memory.py        memory that a layer takes at 7B width
speed.py         tokens per second and share of the device's peak
stock.py         our trainer beside the stock HF Trainer in Alpaca's layout
contexts.py      evaluation with and without shared contexts
generation.py    reading prompts, and generation per step by batch
judging.py       the judge's batch, and what its memory was predicted to be
energy.py        joules of a training
"""
