"""The model as lm-eval sees it: loaded once, with contexts shared between the choices of a question.

`shared_contexts` off is lm-eval's own HFLM, digit for digit. On, the tokens that requests have in common are
computed once (`plw.evaluation.shared_contexts`). Either way log-probabilities are taken in float32, as HFLM does on
request (`softmax_dtype`); for a float32 model that changes nothing. A batch that the device's memory does not hold is
halved.
"""

import torch
from lm_eval.models.huggingface import HFLM

from plw.evaluation.request_cache import Pair, Requests, Texts
from plw.evaluation.shared_contexts import SOFTMAX_DTYPE, SharedContexts, cut_tokens, make_requests
from plw.models.decoding import PrefixCache, StopAtStrings, generate_from_tokens, rows_of_small_batch
from plw.models.memory import BatchMemory, is_out_of_memory


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
        self.begin(None)

    def begin(self, requests: Requests | None) -> None:
        """A benchmark begins; the token ids of its requests, where they are known, and no longer those before."""
        self.pairs: dict[Texts, Pair] = {} if requests is None else dict(requests.pairs)
        # Of single texts: lm-eval encodes a context once for each choice.
        self.encoded: dict[str, list[int]] = {} if requests is None else dict(requests.prompts)

    def tok_encode(self, string, add_special_tokens=None, left_truncate_len=None, **kwargs):
        if add_special_tokens is not None or left_truncate_len is not None or kwargs:
            return super().tok_encode(string, add_special_tokens, left_truncate_len, **kwargs)
        if string not in self.encoded:
            self.encoded[string] = super().tok_encode(string)
        return list(self.encoded[string])

    def tok_batch_encode(self, strings, padding_side="left", left_truncate_len=None, truncation=False):
        if truncation or padding_side != "left" or not self.encoded.keys() >= set(strings):
            return super().tok_batch_encode(strings, padding_side, left_truncate_len, truncation)
        rows = [self.encoded[string][-left_truncate_len if left_truncate_len else None :] for string in strings]
        longest = max(map(len, rows))
        ids = torch.tensor([[self.tokenizer.pad_token_id] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        return ids, mask

    def loglikelihood(self, requests, disable_tqdm: bool = False):
        if not all(request.args in self.pairs for request in requests):
            return super().loglikelihood(requests, disable_tqdm=True)
        return self._loglikelihood_tokens([(request.args, *self.pairs[request.args]) for request in requests])

    def _loglikelihood_tokens(self, requests, disable_tqdm: bool = False, override_bs: int | None = None):
        self.pairs = {texts: (context, rest) for texts, context, rest in requests}
        self.truncated += sum(len(context) + len(rest) > self.max_length + 1 for _, context, rest in requests)
        if not self.shared_contexts:
            return self._score_plain(requests, disable_tqdm, override_bs)
        tokens = [cut_tokens(context, rest, self.max_length) for _, context, rest in requests]
        return self._contexts.score(make_requests(tokens, [len(rest) for _, _, rest in requests]))

    def _score_plain(self, requests, disable_tqdm: bool, override_bs: int | None):
        """lm-eval's own log-likelihoods, in smaller batches where one does not fit."""
        longest = max((len(context) + len(rest) for _, context, rest in requests), default=0)
        while True:
            try:
                return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # From the first again: lm-eval takes the longest requests first, so little was done. Out of the `except`,
            # because the error holds the batch's tensors.
            self._memory.halve(self.batch_size, tokens=min(longest, self.max_length))
            self.batch_size_per_gpu = self.batch_size // 2

    def generate_until(self, requests, disable_tqdm: bool = False):
        given = self.batch_size_per_gpu
        if self.shared_contexts and not self._memory.halved:
            longest = max((len(self.tok_encode(request.args[0])) for request in requests), default=0)
            written = max((request.args[1].get("max_gen_toks", self.max_gen_toks) for request in requests), default=0)
            self.batch_size_per_gpu = max(given, rows_of_small_batch(self.model, tokens=longest + written))
        try:
            return super().generate_until(requests, disable_tqdm=disable_tqdm)
        finally:
            self.batch_size_per_gpu = given

    def _model_generate(self, context, max_length: int, stop: list[str], **generation):
        if not self.shared_contexts or generation.get("do_sample") or generation.get("num_beams", 1) > 1:
            return self._generate_plain(context, max_length, stop, **generation)
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

    def _generate_plain(self, context, max_length: int, stop: list[str], *, attention_mask, **generation):
        """lm-eval's own generation, in halves where the whole batch does not fit."""
        try:
            return super()._model_generate(context, max_length, stop, attention_mask=attention_mask, **generation)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        self._memory.halve(len(context), tokens=max_length, beams=generation.get("num_beams", 1))
        half = len(context) // 2
        parts = [
            self._generate_plain(context[rows], max_length, stop, attention_mask=attention_mask[rows], **generation)
            for rows in (slice(half), slice(half, None))
        ]
        longest, fill = max(part.shape[1] for part in parts), self.tokenizer.pad_token_id
        padded = [torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=fill) for part in parts]
        return torch.cat(padded)
