"""PandaLM's published judge prompt (WeOpenML/PandaLM@eb758c4, pandalm/utils/pandalm_inference.py)."""


def pandalm_prompt(instruction: str, input_text: str, response_1: str, response_2: str) -> str:
    raise NotImplementedError
