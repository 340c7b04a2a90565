"""Prompt loss weight: an executable reproduction of "Instruction Fine-Tuning: Does Prompt Loss Matter?"."""
