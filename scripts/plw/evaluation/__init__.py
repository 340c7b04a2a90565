"""What a model scores (§4.4): the LM Evaluation Harness, AlpacaEval 1 and PandaLM.

rows.py             rows of the benchmarks, brought to one form each
checking.py         all benchmark rows of a study, read before anything trains
harness_tasks.py    tasks of the harness, fed with rows from any source
request_cache.py    what the harness asks, in words and in token ids, kept for all models of a sweep
shared_contexts.py  log-likelihoods, with what requests have in common read once
harness_model.py    the model as the harness sees it
harness_metrics.py  scores of the harness's tasks
harness.py          one benchmark of the harness, its result in the project's form
elsewhere.py        multiple choice answered on a machine without the harness
measuring.py        everything that one model is measured on; what was measured before is kept
judge.py            a judge's answers: loaded once, kept by content
judge_server.py     a judge behind an OpenAI-compatible address, by a vLLM of its own or by a running server
trial.py            a judge's first answers, looked at before the rest is asked
judgements.py       what both judged benchmarks share
alpaca_eval.py      AlpacaEval 1 with a local judge
pandalm.py          PandaLM's prompt and parsing, both orders of a pair
"""
