"""Models by one key: load, save, tell apart, let them write.

loading.py      load and save models; rows for new tokens
checking.py     a loaded model and its tokenizer, looked at before anything trains, judges or is scored
settings.py     what a model folder would decide beside its weights, and what is decided in its place
fingerprint.py  what tells two models apart
pickled.py      pickled weights as safetensors, once
gguf.py         GGUF files as ordinary model folders
decoding.py     batched decoding that computes a shared beginning once
memory.py       how many texts are written at once, from the device's free memory
flags.py        flags that programs with a model share
generation.py   texts that a model writes: candidates for the judges, the judges' answers
"""
