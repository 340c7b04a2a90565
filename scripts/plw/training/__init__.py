"""Fine-tuning with a prompt loss weight (§4, App. E.1): from a token's weight to the record of a run.

settings.py          the study's `training` block, checked and with its defaults
loss.py              a weight for each token, a scale for each token, a sum (§2.2, §4.1)
collator.py          batches whose every token carries its scale, for any trainer
attach.py            that loss in somebody else's model or trainer
identities.py        what §4.1 says of the loss, tried on random logits
batching.py          which sequences make an update, and which a device sees at once
regularizers.py      penalties on the weights (App. E.5)
forward/             the forward pass: only what the objective needs
trainer.py           the HF Trainer with that loss
zero.py              DeepSpeed: settings by ZeRO stage, each rank's own part of weights and gradients
launch.py            how the process was started, and how ranks part
checkpoints.py       checkpoints that can be trusted
loss_log.py          loss.csv: one row per update
distance.py          how far training moved the weights, before they are rounded (§5.3.2)
fine_tuning.py       one model on one data set with one PLW, at any scale
record.py            where a run was made: versions, commit, device, memory, energy
run.py               one run from its row to its files
"""
