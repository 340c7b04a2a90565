"""The model as lm-eval sees it: loaded once, with contexts shared between the choices of a question.

`shared_contexts` off is lm-eval's own HFLM, digit for digit. On, the tokens that requests have in common are
computed once (`plw.evaluation.shared_contexts`). Either way log-probabilities are taken in float32, as HFLM does on
request (`softmax_dtype`); for a float32 model that changes nothing.
"""

from functools import lru_cache

import torch
from lm_eval.models.huggingface import HFLM

from plw.evaluation.shared_contexts import SOFTMAX_DTYPE, SharedContexts, cut_tokens, make_requests
from plw.models.decoding import PrefixCache, StopAtStrings, generate_from_tokens
from plw.models.memory import BatchMemory


class HarnessModel(HFLM):
    """An in-memory model and tokenizer for lm-eval.

    Counts requests that did not fit into the model's context.
    """

    def __init__(self, model, tokenizer, *, batch_size: int, add_bos: bool = False, shared_contexts: bool = False):
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            add_bos_token=add_bos,
            softmax_dtype=SOFTMAX_DTYPE,
        )
        self.shared_contexts = shared_contexts
        self.truncated = 0
        self._prefix_cache, self._memory = PrefixCache(model), BatchMemory(model)
        self._contexts = SharedContexts(model, batch_size=batch_size, prefix_cache=self._prefix_cache)
        self._encode = lru_cache(maxsize=4096)(self._encode_once)  # lm-eval encodes a context once per choice

    def _encode_once(self, string: str) -> tuple[int, ...]:
        return tuple(super().tok_encode(string))

    def tok_encode(self, string, add_special_tokens=None, left_truncate_len=None, **kwargs):
        if add_special_tokens is None and left_truncate_len is None and not kwargs:
            return list(self._encode(string))
        return super().tok_encode(string, add_special_tokens, left_truncate_len, **kwargs)

    def _loglikelihood_tokens(self, requests, disable_tqdm: bool = False, override_bs: int | None = None):
        self.truncated += sum(len(context) + len(rest) > self.max_length + 1 for _, context, rest in requests)
        if not self.shared_contexts:
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        tokens = [cut_tokens(context, rest, self.max_length) for _, context, rest in requests]
        return self._contexts.score(make_requests(tokens, [len(rest) for _, _, rest in requests]))

    def _model_generate(self, context, max_length: int, stop: list[str], **generation):
        if not self.shared_contexts or generation.get("do_sample") or generation.get("num_beams", 1) > 1:
            return super()._model_generate(context, max_length, stop, **generation)
        generation.pop("temperature", None)
        mask = generation.pop("attention_mask").bool()
        prompts = [row[keep].tolist() for row, keep in zip(context, mask, strict=True)]
        generated = generate_from_tokens(
            self.model,
            prompts,
            pad_id=self.tokenizer.pad_token_id,
            memory=self._memory,
            prefix_cache=self._prefix_cache,
            stopping=[StopAtStrings(self.tokenizer, stop, context.shape[1])],
            max_new_tokens=max_length - context.shape[1],
            **{"do_sample": False, **generation},
        )
        return torch.cat([context, generated], dim=1)
